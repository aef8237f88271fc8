"""Names the packages for `pip install`; pyproject.toml has the rest.

`projects/` has no `__init__.py`: MMDetection's own `projects` may stand beside
it. The command lines of `tools/` are installed as `data_distillation_tools`.
"""

from setuptools import find_namespace_packages, setup

setup(
    packages=[
        *find_namespace_packages(include=['projects*']),
        'data_distillation_tools',
    ],
    package_dir={'data_distillation_tools': 'tools'},
    package_data={
        '': ['templates/*'],
        'data_distillation_tools': ['*.sh'],
    },
    include_package_data=False,
)
