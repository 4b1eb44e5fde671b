"""The sample apps of the local workspace, and the rows that they and the ledger serve.

A sample app is a generator function ``(session, text)``, like an app that a user adds with
`Workspace.app`. Each one is a small scripted program, and says so in a conversation's first reply.
"""
