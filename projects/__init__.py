"""Shares the name `projects` with other packages of that name."""

import pkgutil

# MMDetection's own repository has a `projects` package too: extend instead
# of hide, whichever of the two is found first.
__path__ = pkgutil.extend_path(__path__, __name__)
