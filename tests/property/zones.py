"""Where and when clocks are moved."""

from datetime import date

#: Zones, each with days on or around which its clocks are moved.
CHANGES = [
    ("UTC", date(2026, 11, 23)),
    ("Europe/Berlin", date(2027, 3, 28)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),
    ("Pacific/Apia", date(2011, 12, 30)),
    ("Pacific/Apia", date(2012, 4, 1)),
    ("America/Asuncion", date(2024, 10, 6)),
    ("America/Havana", date(2026, 11, 1)),
]
