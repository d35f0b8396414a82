"""Why a layer differs: tries the mistakes that people make when they port, and ranks them."""
