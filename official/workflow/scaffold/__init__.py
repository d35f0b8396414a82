"""Begins a project: folders, dossier, checklist, the original's side and a draft of its weights."""
