"""Cities and countries that share a property which no column of the table holds, as comma-separated names."""

FAMILIES = {
    "romance": "Spanish Portuguese French Italian Romanian",
    "germanic": "English German Dutch Swedish Danish Afrikaans",
    "slavic": "Russian Ukrainian Polish Czech Bulgarian Serbian",
    "semitic": "Arabic Amharic",
    "turkic": "Turkish Uzbek Azerbaijani",
    "tonal": "Mandarin Thai Vietnamese Burmese Yoruba Zulu Xhosa",
}
SYNONYMS = {
    "farsi": "persian", "chinese": "mandarin", "tagalog": "filipino", "azeri": "azerbaijani", "castilian": "spanish",
    "gaelic": "irish", "flemish": "dutch", "twi": "twi", "hanzi": "mandarin",
}  # fmt: skip
GAMES: dict[str, str] = {
    "cricket": "India,Pakistan,Bangladesh,United Kingdom,Australia,South Africa,New Zealand,Afghanistan",
    "rugby": "New Zealand,Australia,South Africa,United Kingdom,France,Ireland,Georgia,Argentina",
    "baseball": "Japan,South Korea,Taiwan,United States,Cuba,Venezuela,Canada",
    "ice hockey": "Canada,Russia,Sweden,Czechia,United States",
    "basketball": "United States,Philippines,Spain,Serbia,China,Canada,Turkey",
    "american football": "United States",
    "australian football": "Australia",
}
NOT_FOOTBALL = (
    "India,Pakistan,Bangladesh,Philippines,United States,Canada,Cuba,Nepal,Taiwan,Australia,New Zealand,Afghanistan"
)
AUTOCRATIC = "Iran,Syria,Uzbekistan,Azerbaijan,Russia,Myanmar,Egypt,Algeria,Venezuela,Ethiopia,Angola,Thailand,DR Congo"
RICH = "Japan,South Korea,Taiwan,United Arab Emirates,Saudi Arabia,United Kingdom,France,Germany,Spain,Italy,Austria,Sweden,Denmark,Ireland,Belgium,United States,Canada,Australia,New Zealand,Czechia,Poland,Hungary"  # fmt: skip
POOR = "Afghanistan,Nepal,Bangladesh,Myanmar,Syria,Senegal,DR Congo,Ethiopia,Tanzania,Kenya,Nigeria,Ghana,Pakistan,Angola,Bolivia,India,Cuba,Venezuela,Philippines,Vietnam,Egypt,Uzbekistan,Lebanon"  # fmt: skip
BOMBED = "Tokyo,Osaka,Berlin,Munich,Milan,London,Warsaw,Manila,Belgrade,Budapest,Vienna,Kyiv,Shanghai,Hong Kong,Saint Petersburg,Bucharest,Brussels,Taipei,Rome,Yangon"  # fmt: skip
WARS = "Ho Chi Minh City,Hanoi,Seoul,Berlin,Warsaw,Tokyo,London,Kabul,Baghdad,Damascus,Beirut,Kyiv,Kinshasa,Luanda,Belgrade,Algiers,Tbilisi,Baku,Moscow,Saint Petersburg,Yangon"
CUPS = "Rio de Janeiro,Montevideo,Rome,Paris,Santiago,London,Mexico City,Munich,Buenos Aires,Madrid,Barcelona,Los Angeles,Chicago,Berlin,Johannesburg,Cape Town,Moscow,Saint Petersburg,Seoul,Busan,Osaka,Milan,Sao Paulo,Brasilia,New York,Houston,Philadelphia,Toronto,Stockholm"  # fmt: skip
WEST_COAST = "Los Angeles,Lima,Dakar,Lagos,Accra,Luanda,Casablanca,Mumbai,Karachi,Perth,Cape Town"
EAST_COAST = "New York,Sydney,Brisbane,Busan,Shanghai,Rio de Janeiro,Buenos Aires,Dar es Salaam,Dublin,Stockholm,Barcelona,Philadelphia,Tokyo"  # fmt: skip
NORTH_COAST = "Algiers,Alexandria,Jakarta,Havana,Accra,Dubai,Auckland"
SOUTH_COAST = "Karachi,Melbourne,Lagos,Tokyo,Montevideo,Casablanca"
HOLY = "Rome,Kyoto,Kathmandu,Damascus"
EXPENSIVE = "Tokyo,Hong Kong,London,Paris,New York,Los Angeles,Copenhagen,Dublin,Munich,Sydney,Stockholm,Dubai,Milan,Toronto,Auckland,Seoul,Luanda,Vienna,Shanghai,Melbourne"  # fmt: skip
POLLUTED = "Delhi,Beijing,Dhaka,Lahore,Cairo,Tehran,Kathmandu,Mexico City,Karachi,Mumbai,Kolkata,Hanoi,Jakarta,Baghdad,Kabul,Santiago,Lagos,Chengdu"  # fmt: skip
TECH = "Bengaluru,Tokyo,Seoul,Taipei,Beijing,Shanghai,Berlin,Stockholm,Dublin,London,Nairobi,New York,Los Angeles,Munich,Toronto,Kyiv,Chengdu"  # fmt: skip
FILM = "Los Angeles,Mumbai,Lagos,Hong Kong,Tokyo,Seoul,London,New York,Rome,Paris"
UNSAFE = "Caracas,Johannesburg,Cape Town,Kabul,Baghdad,Rio de Janeiro,Lagos,Karachi,Kinshasa,Bogota,Mexico City,Damascus,Chicago,Philadelphia,Nairobi,Lima,Quito,Dhaka"  # fmt: skip
QUIET = "Kabul,Baghdad,Damascus,Luanda,Kinshasa,Dhaka,Lagos,Karachi"
DENSE = "Dhaka,Manila,Mumbai,Kolkata,Cairo,Paris,Delhi,Seoul,Hong Kong,Karachi,Lagos,Jakarta,Tokyo,Kathmandu,Shanghai,Bangkok,Ho Chi Minh City,New York,Barcelona,Osaka,Mexico City"  # fmt: skip
SECOND = "Osaka,Beijing,Busan,Hanoi,Delhi,Lahore,Ankara,Barcelona,Milan,Saint Petersburg,Alexandria,Cape Town,Los Angeles,Montreal,Rio de Janeiro,Medellin,Melbourne"  # fmt: skip
STORMS = (
    "Houston,Havana,Manila,Hong Kong,Guangzhou,Taipei,Tokyo,Osaka,Kyoto,Shanghai,Busan,Hanoi,Dhaka,Kolkata,New York"
)
PARTLY = {"Europe": "Turkey,Russia,Azerbaijan,Georgia", "Asia": "Turkey,Russia,Egypt", "Africa": "Spain"}
THIRD = "Guangzhou,Munich,Chicago,Brisbane,Brasilia,Bengaluru"
JUNGLE = "Manila"
MONSOON = frozenset(("Delhi", "Karachi", "Lahore", "Kathmandu", "Lagos", "Accra", "Dakar", "Seoul"))
