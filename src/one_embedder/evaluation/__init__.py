"""Scores of an encoder on task folders: seven categories through mteb, prompt retrieval and text evaluation here."""
