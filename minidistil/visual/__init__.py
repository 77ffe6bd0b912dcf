"""Pictures: still ones, and pages that stand alone, one HTML file each, without a network.

- `minidistil.visual.explorer`: what each head of a model looks at in a text.
- `minidistil.visual.tiles`: which program of a kernel reads and writes which tile.
- `minidistil.visual.pictures`: attention maps, a number a head, vectors as points.
- `minidistil.visual.curves`: the losses of training runs.
- `minidistil.visual.page`: the shell that such pages share.

The browser's share (CSS, JavaScript, HTML) lies in `assets/`.
"""
