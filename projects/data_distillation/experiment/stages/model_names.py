"""The names of models and files of an experiment."""

# The trained models in the order of the table, and what each is trained on.
TRAINED = {
    'teacher': 'labeled: lower bound',
    'supervised_long': 'labeled, longer: control',
    'student': 'labeled + pseudo-labeled',
    'oracle': 'labeled + truth: upper bound',
}
