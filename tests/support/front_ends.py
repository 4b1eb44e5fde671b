"""A front end of a real kernel, which tells its messages to the test."""


class Frontend:
    """A client of a kernel that shows outputs, as a user sees them.

    Parameters
    ----------
    client : BlockingKernelClient
        The client.
    look : callable
        Called with each message about a cell.
    """

    def __init__(self, client, look=lambda message: None):
        self._client = client
        self._look = look

    def run(self, code, **metadata):
        """Run a cell; return its messages."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
        content |= {"user_expressions": {}, "stop_on_error": True}
        sent = self._client.session.msg("execute_request", content, metadata=metadata)
        self._client.shell_channel.send(sent)
        found = []
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != sent["header"]["msg_id"]:
                continue
            if message["content"].get("execution_state") == "idle":
                return found
            found.append(message)
            self._look(message)
