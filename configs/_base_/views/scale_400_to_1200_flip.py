"""The paper's 18 views: shorter side 400, 500, ... 1200, each also flipped.

The scales and the flip (section 4) are known at second hand
(configs/README.md).

`scale` is that of MMDetection's `Resize`: bounds of the longest and of the
shortest side. The longest is 5/3 of the shorter one, as in the training scale
(1333, 800), so that every view is the detector's own test resize times a
constant: one of 800 is that resize, and no two scales coincide, whatever the
image's aspect ratio. A fixed bound lacks this: under 2000 the last two scales
coincide above 2000:1100, so on any 2:1 image; under 4000, Detectron2's, only
above 3.6:1, but a view may then have 4000x1200 pixels. The price: of images
wider than 5:3 the shorter side is less than the scale says, as in training.
"""

views = [
    [dict(type='Resize', scale=(short * 5 // 3, short)), *flip]
    for short in range(400, 1201, 100)
    for flip in ([], [dict(type='Flip', direction='horizontal')])
]
