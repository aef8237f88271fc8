"""The templates of the pages, with their styles and scripts."""

from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent


def get_template(name: str) -> jinja2.Template:
    """Load a template, which escapes what it shows.

    Args:
        name: The file name of the template in `TEMPLATES`.

    Returns:
        The template. It raises an error for a value that it is not given.

    Raises:
        jinja2.TemplateNotFound: If there is no such template.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        # A wrong name in a template fails, instead of showing nothing.
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
