"""The page and the API on port 8000: how the pieces fit.

    server.py       uvicorn in a thread of the daemon; connections.py ends those that ask nothing
    app.py          puts together what follows: `create_app(desk)`
    surroundings.py base path, security headers, the last net for errors
    gate.py         the door: stands before all routes, so a new route is closed without more ado;
                    callers.py tells who asks, credentials.py what opens, throttle.py slows guesses
    fresh.py        keeps what everybody asks for, a quarter of a second long
    desk/           all that the page and the API may do, without HTTP; routes call it and nothing
                    else: `request.app.state.desk`, or `DeskOf` as a parameter
    shapes.py       what comes out, as pydantic models
    problems.py     errors: raise any DubarrError, and it comes out as problem+json
    api/            /api/v1, a router a subject; older.py the paths of the first deployments
    live/           channel.py hands events to many listeners and lets the slow go, stream.py sends
                    them (`EventStream`), changes.py says which there are, wire.py feeds them

Routes are plain functions (`def`, not `async def`): they run in threads, for the store waits for
the disk. Nothing may block the event loop. Import this package only where the server runs: it
costs a command half a second and 15 MB.
"""
