# ruff: noqa: SIM905 - long word lists read better as text
"""Names of parts of the world, waters and languages, and the phrases for them."""

from __future__ import annotations

REGIONS: dict[str, str] = {
    "southeast asia": "southeast asia, south east asia, southeastern asia, south eastern asia, indochina",
    "east asia": "east asia, eastern asia, far east, the far east, northeast asia, the orient",
    "south asia": "south asia, southern asia, indian subcontinent, the indian subcontinent, the subcontinent, subcontinent",
    "central asia": "central asia",
    "middle east": "middle east, mideast, near east, western asia, west asia, southwest asia, the levant, levant",
    "gulf": "gulf region, gulf state, gulf states, gulf country, arabian peninsula, arabia, gulf countries",
    "caucasus": "caucasus",
    "northern europe": "northern europe, north europe, north of europe",
    "western europe": "western europe, west europe, west of europe",
    "eastern europe": "eastern europe, east europe, east of europe",
    "central europe": "central europe, middle of europe, mitteleuropa",
    "southern europe": "southern europe, south europe, south of europe",
    "scandinavia": "scandinavia, scandinavian, nordic, nordics, nordic country, nordic countries",
    "balkans": "balkans, balkan, balkan peninsula, southeast europe, southeastern europe",
    "iberia": "iberia, iberian peninsula, iberian",
    "british isles": "british isles",
    "benelux": "benelux, low countries",
    "north africa": "north africa, northern africa, northwest africa, northwest of africa, northwestern africa, north west africa, maghreb, north african",
    "west africa": "west africa, western africa, west african",
    "east africa": "east africa, eastern africa, east african",
    "central africa": "central africa, middle africa",
    "southern africa": "southern africa, southern part of africa, south of africa",
    "sub-saharan": "sub saharan africa, subsaharan africa, sub saharan, black africa, south of the sahara",
    "latin america": "latin america, latin american, spanish america",
    "americas": "north or south america, north and south america, the americas, americas, american continent, american continents, new world",
    "caribbean": "caribbean, the caribbean, caribbean sea, west indies",
    "andes region": "andes, the andes, andean, andean country",
    "eurasia": "eurasia",
    "pacific rim": "pacific rim",
    "mediterranean region": "mediterranean basin, mediterranean region, mediterranean country, mediterranean city",
    "polynesia": "polynesia",
    "west": "western world, western country",
    "scandinavian peninsula": "scandinavian peninsula",
}

CONTINENTS: dict[str, str] = {
    "Asia": "asia, asian, asian continent, asiatic, asians",
    "Europe": "europe, european, european continent, europeans",
    "Africa": "africa, african, african continent, africans",
    "North America": "north america, north american",
    "South America": "south america, south american",
    "Oceania": "oceania, australasia, australian continent",
    "Antarctica": "antarctica",
}

WATERS: dict[str, str] = {
    "Pacific Ocean": "pacific, pacific ocean",
    "Atlantic Ocean": "atlantic, atlantic ocean",
    "Indian Ocean": "indian ocean",
    "Arctic Ocean": "arctic ocean",
    "Mediterranean": "mediterranean, mediterranean sea, the med",
    "Baltic": "baltic, baltic sea",
    "Black Sea": "black sea",
    "Caspian": "caspian, caspian sea",
    "Red Sea": "red sea",
    "North Sea": "north sea",
    "Arabian Sea": "arabian sea",
    "Persian Gulf": "persian gulf, arabian gulf",
    "Marmara": "sea of marmara, marmara",
    "Tasman": "tasman sea, tasman",
    "Java Sea": "java sea",
    "Gulf of Mexico": "gulf of mexico",
    "Gulf of Guinea": "gulf of guinea",
    "Bay of Bengal": "bay of bengal",
    "South China Sea": "south china sea",
    "Adriatic": "adriatic, adriatic sea",
    "Aegean": "aegean, aegean sea",
    "Bosphorus": "bosphorus, bosporus",
}

LANGUAGES = (
    "mandarin cantonese hindi urdu arabic swahili bengali persian farsi tamil malay tagalog filipino portuguese spanish "
    "english french german italian russian japanese korean thai vietnamese indonesian burmese nepali dari pashto kurdish "
    "uzbek azerbaijani azeri georgian turkish hungarian polish czech romanian bulgarian serbian ukrainian swedish danish irish dutch berber "
    "yoruba twi wolof lingala amharic zulu xhosa afrikaans quechua aymara catalan maori gaelic hebrew greek chinese latin "
    "norwegian finnish castilian flemish punjabi marathi kannada telugu sinhala mongolian khmer lao hausa igbo somali "
).split()
