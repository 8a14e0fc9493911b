"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend. The message names the cause (key, file, device) and then the remedy."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}\n  remedy: {remedy}")
        self.cause = cause
        self.remedy = remedy
