"""Film translation by a large language model, wherever that runs.

api.py and local.py are the engines: a service's model, and one in a server of ours. Both are a
FilmTranslator (film_translator.py), which asks through a ChatService (chat.py).
"""
