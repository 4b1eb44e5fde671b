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
        self.client = client
        self._look = look

    def run(self, code, **metadata):
        """Run a cell; return its messages."""
        return list(self.messages(self.send(code, **metadata)))

    def send(self, code, **metadata):
        """Send a cell; return the id of the request."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": True}
        content |= {"user_expressions": {}, "stop_on_error": True}
        sent = self.client.session.msg("execute_request", content, metadata=metadata)
        self.client.shell_channel.send(sent)
        return sent["header"]["msg_id"]

    def messages(self, sent):
        """Yield the messages about a cell, until the kernel is idle."""
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != sent:
                continue
            if message["content"].get("execution_state") == "idle":
                return
            self._look(message)
            yield message
