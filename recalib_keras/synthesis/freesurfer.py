"""What FreeSurfer's numbers mean to the eye and to a mirror.

Facts of FreeSurfer's colour table, FreeSurferColorLUT.txt. Label maps for generation add numbers of their own: 136 and
137 on the left, 163 and 164 on the right, inside the ventricles; and those from 500 on, outside the brain.
"""

# Numbers from here on lie outside the brain; they have no sides.
EXTRA_CEREBRAL = 500

# Numbers on the left, and their counterparts on the right.
SIDES = {
    2: 41,
    3: 42,
    4: 43,
    5: 44,
    7: 46,
    8: 47,
    10: 49,
    11: 50,
    12: 51,
    13: 52,
    17: 53,
    18: 54,
    25: 57,
    26: 58,
    28: 60,
    30: 62,
    136: 163,
    137: 164,
}
MIRRORS = {**SIDES, **{right: left for left, right in SIDES.items()}}

UNKNOWN = (128, 128, 128)
COLORS = {
    0: (0, 0, 0),
    2: (245, 245, 245),
    3: (205, 62, 78),
    4: (120, 18, 134),
    5: (196, 58, 250),
    7: (220, 248, 164),
    8: (230, 148, 34),
    10: (0, 118, 14),
    11: (122, 186, 220),
    12: (236, 13, 176),
    13: (12, 48, 255),
    14: (204, 182, 142),
    15: (42, 204, 164),
    16: (119, 159, 176),
    17: (220, 216, 20),
    18: (103, 255, 255),
    24: (60, 60, 60),
    26: (255, 165, 0),
    28: (165, 42, 42),
    30: (160, 32, 240),
    41: (245, 245, 245),
    42: (205, 62, 78),
    43: (120, 18, 134),
    44: (196, 58, 250),
    46: (220, 248, 164),
    47: (230, 148, 34),
    49: (0, 118, 14),
    50: (122, 186, 220),
    51: (236, 13, 176),
    52: (13, 48, 255),
    53: (220, 216, 20),
    54: (103, 255, 255),
    58: (255, 165, 0),
    60: (165, 42, 42),
    62: (160, 32, 240),
    72: (120, 190, 150),
    85: (234, 169, 30),
}
