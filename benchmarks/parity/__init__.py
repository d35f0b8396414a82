"""The parity checker checked: planted defects that it must find, clean runs that it must pass."""
