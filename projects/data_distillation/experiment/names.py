"""The names of models and files of an experiment."""

PSEUDO_LABELS = 'pseudo_labels.json'


# Evaluated models, in the order of the table, with what they stand for.
TRAINED = {
    'teacher': 'labeled: lower bound',
    'supervised_long': "labeled, student's schedule",
    'student': 'labeled + pseudo-labeled',
    'oracle': 'labeled + truth: upper bound',
}
