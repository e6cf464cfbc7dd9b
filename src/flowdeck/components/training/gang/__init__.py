"""Gang scheduling: all pods of a TrainJob start together or none. One file a scheduler."""

from collections.abc import Sequence

from flowdeck.components.training.draft import Plugin
from flowdeck.components.training.gang.coscheduling import Coscheduling
from flowdeck.components.training.gang.volcano import Volcano

GANGS: Sequence[Plugin] = (Coscheduling(), Volcano())
