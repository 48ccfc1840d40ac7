"""Radarr, Sonarr, Bazarr, Tautulli and media servers: what they tell us, and what we tell them."""
