"""The wire types: what travels between the SDK and the server, one file per resource.

Both sides import these very classes, so they cannot drift apart. Requests refuse fields they do not know
(a typo must not be dropped silently); responses ignore them (an old SDK outlives a newer server).
"""
