"""What is replaced for a time is as before afterwards."""

from contextlib import suppress

import pytest

from projects.data_distillation.attributes import replaced


class Holder:
    @staticmethod
    def method() -> str:
        return 'own'


@pytest.mark.parametrize('error', [None, KeyError])
def test_attribute_is_as_before(error):
    with suppress(KeyError), replaced(Holder, 'method', lambda self: 'other'):
        assert Holder().method() == 'other'
        if error:
            raise error

    assert Holder().method() == Holder.method() == 'own'


def test_what_is_not_there_is_not_replaced():
    with pytest.raises(KeyError, match='none'), replaced(Holder, 'none', 1):
        pass

    assert not hasattr(Holder, 'none')
