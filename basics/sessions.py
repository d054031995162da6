"""HTTP sessions that go where they are told, and nowhere else."""

import requests


def innermost(error: BaseException) -> BaseException:
    """Its first cause: 'Connection refused', not the layers that requests and urllib3 put around it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


class PlainSession(requests.Session):
    """Ignores proxies, certificates and passwords of the environment, and follows no redirect.

    Requests looks where a redirect leads even if it is not to follow it, and fails on strange targets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 -- requests' own signature
        """Nowhere: an answer that redirects is an answer like any other."""
        return
