"""The exception for a user's mistake."""


class UserError(ValueError):
    """A mistake in flags, configuration, files or data.

    Its message is one line: the subject, the rule, the actual value, and how to fix it. A command
    prints it without a stack trace and exits with code 2. Any other exception is a bug.
    """
