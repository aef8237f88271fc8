"""Writes the comparison of annotation speeds for people."""

from rich.table import Table

from ..text import format_table


def format_report(report: dict) -> str:
    """Format a report of `Comparison.run` as a table for the user.

    Args:
        report: What `Comparison.run` has returned.

    Returns:
        A table with a row for each contender, and below it a line for each
        that is compared with stock. The table has the largest peak of all
        turns. What was not measured is left blank.
    """
    columns = Table('contender', title=f'{report["images"]} images')
    titles = 'images/s', 'x stock', 'of bare', 'of boxes', 'peak MiB', 'mAP'
    for title in titles:
        columns.add_column(title, justify='right')
    for name, contender in report['contenders'].items():
        columns.add_row(
            name,
            f'{contender["images_per_second"]:.3f}',
            format_or_blank(contender.get('speed_of_stock'), '.2f'),
            format_or_blank(contender.get('share_of_bare_passes'), '.3f'),
            format_or_blank(contender.get('share_of_boxes'), '.3f'),
            f'{max(contender["peaks_mib"]):.0f}',
            format_or_blank(contender['bbox_mAP'], '.4f'),
        )
    lines = [format_table(columns)]
    for name, contender in report['contenders'].items():
        if 'difference' in contender:
            lines.append(
                '{}: {matched:.2%} of the boxes are those of stock, within '
                '{pixels:.3g} pixels and {score:.2g} of the score'.format(
                    name, **contender['difference']
                )
            )
    return '\n'.join(lines)


def format_or_blank(value: float | None, spec: str) -> str:
    """Format a number; None as an empty text.

    Args:
        value: The number; None if it was not measured.
        spec: The format, as for `format`.

    Returns:
        The text.
    """
    return '' if value is None else format(value, spec)
