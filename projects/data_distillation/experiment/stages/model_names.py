"""The names of models and files of an experiment."""

# Configs, folders and summaries of earlier versions name the control so.
CONTROL = 'supervised_long'

# The trained models in the order of the table, and what each is trained on.
TRAINED = {
    'teacher': 'labeled: lower bound',
    CONTROL: 'labeled, longer: control',
    'student': 'labeled + pseudo-labeled',
    'oracle': 'labeled + truth: upper bound',
}
