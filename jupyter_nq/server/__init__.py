"""The Jupyter edge: an `ExtensionApp` that hosts the coordinator and shows its desk over REST and a WebSocket.

Nothing here decides anything: a route is a few lines over one request to the coordinator, which the
server reaches through the same channel as every kernel (`link`). The lab panel listens to `feed`.
"""
