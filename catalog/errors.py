"""The one exception that means: the user can mend this."""


class UserError(ValueError):
    """A mistake in flags, configuration, files or data.

    Its message is one line: the thing, the rule, what came, what to do. A door prints it without a
    stack trace and exits with code 2. Anything else that is raised is a fault of the program.
    """
