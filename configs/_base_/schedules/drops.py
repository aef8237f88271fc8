"""What the rate drops of all schedules share."""

# The paper's (section 4, at second hand: configs/README.md), and that of
# MMDetection.
drops_to_a_tenth = dict(type='MultiStepLR', by_epoch=False, gamma=0.1)
