# ruff: noqa: SIM905 - long word lists read better as text
"""What words and phrases of a question are about. A phrase means ``topic`` or ``topic=value``; the longest phrase wins."""

from __future__ import annotations

TOPICS: dict[str, str] = {
    # what is asked about, with no value
    "language": "language, languages, tongue, tongues, speak, speaks, speaking, spoken, spoke, talk in, lingo, lingua franca, "
    "hear in the street, hear in the streets, hear on the street, hear on the streets, hear people speak, hear, mother tongue, dialect, dialects, speakers, speaker, linguistic, native language, bilingual, understood, understand, fluent, talk, chatting, converse",
    "script": "alphabet, script, scripts, writing system, write with, written with, written in, characters, writing",
    "currency": "currency, currencies, money, cash, coins, coin, banknotes, banknote, bills, legal tender, pay with, pay in, "
    "pay for, pay, paying, spend, monetary unit, wallet, tender, payment, prices quoted, prices, buy things, buy stuff",
    "religion": "religion, religions, religious, faith, faiths, worship, believe in, belief, beliefs, pray, creed",
    "continent": "continent, continents, landmass, part of the world, part of the globe, corner of the world, continental location",
    "subregion": "region, regions, part of the continent, subregion, area of the world, region of the world, geographic region",
    "province": "area of the country, part of the country, region of the country, province, which state, what state, us state, name of the state, prefecture, county, federal state, state is it in",
    "distance": "how far, distance, how many miles, how many kilometers, how many kilometres, how many km",
    "country": "country, nation, homeland",
    "location": "where is it, where are you, where is the city, where is your city, where exactly, where located, located where, "
    "where in the world, whereabouts, where can i find, where would i find, where do i find, where on the map, where on earth, "
    "where do you live, where on the globe, location",
    "coordinates": "latitude, longitude, coordinates, parallel, gps, degrees north, degrees south, lat, latitudes",
    "timezone": "time zone, timezone, time zones, utc, gmt, hours ahead, hours behind, clock, clocks, local time, what time, "
    "greenwich mean time, time difference",
    "dst": "daylight saving, daylight savings, summer time, change the clocks, change their clocks",
    "population": "population, inhabitants, residents, how many people, number of people, people live, live there, living there, "
    "how big, how large, how populous, how populated, citizens, how many live, headcount, size, demographics, people living, "
    "many people, how many folks, how many souls, how small, call it home, dwellers",
    "metro_population": "metropolitan population, metropolitan area population, urban area population, with suburbs, "
    "greater metropolitan area, metropolitan area, metro area, urban agglomeration, agglomeration",
    "country_population": "population of the country, population of its country, people in the country, "
    "population of your country, country population, people live in the country",
    "founded": "founded, established, how old, age, built, founding, origins, origin, date back, dates back, "
    "when did it start, history, who founded, settled, history like",
    "elevation": "altitude, elevation, how high, above sea level, height, meters high, metres high, high up, sea level, feet above",
    "river": "river, rivers, riverside, waterway, riverbank, riverbanks, flows through, flow through, stream, streams, riverfront, "
    "banks of a, flows past, flow past",
    "lake": "lake, lakes, lakeside, lakefront, lakeshore, great lakes",
    "mountains": "mountain, mountains, mountainous, peaks, mountain range, mountain ranges, peak, ranges",
    "sea": "which sea, what sea, which ocean, what ocean, nearest ocean, closest ocean, nearest sea, closest sea, body of water, "
    "bodies of water, what water, ocean is nearest, ocean is closest, sea is nearest, name of the sea, gulf, bay, strait, "
    "which water, sea or ocean, ocean or sea",
    "neighbours": "country next to it, countries next to it, nation next to it, country next to, countries next to, next to it, neighbours, neighbors, neighbouring, neighboring, bordering, borders, border, land border, land borders, "
    "adjacent, share a border, shares a border, share borders, sharing a border, surrounding, next to yours, beside yours, close to yours, around yours, countries are next, nations are next, countries are nearby, "
    "countries are close, countries surround, surround, touching yours, next door, frontier, borders with",
    "climate": "weather, climate, temperature, temperatures, season, seasons, winters, summers, winter, summer, forecast, "
    "degrees, climatic, rainfall, precipitation, weather like",
    "food": "food, foods, dish, dishes, cuisine, eat, eating, eaten, meal, meals, snack, snacks, drink, drinks, delicacy, "
    "delicacies, speciality, specialty, specialities, specialties, restaurants, breakfast, lunch, dinner, culinary, cook, try the, "
    "gastronomy, taste, tasty, hungry, ate, order in a restaurant, local plate, treat, dessert, beverage",
    "landmark": "would i do there, can i do there, to do there, would you do there, can you do there, landmark, landmarks, sight, sights, attraction, attractions, monument, monuments, tourist spot, tourist spots, "
    "buildings, building, sightseeing, must see, must visit, points of interest, point of interest, famous place, famous places, "
    "places to visit, places to see, visitors see, tourists visit, tourists see, tourists go, visit there, see there, thing to see, "
    "things to see, things to do, iconic, structure, structures, worth seeing, worth visiting, site, sites, tourist site, "
    "visit, postcard, postcards, icon, photo, tourists photograph, places, architecture, see in, tourist attraction, highlights, "
    "something you can see, visit first",
    "known": "look like, looks like, what is it like, know it, know this city, know the city, people know, hear of, hear about, hear the name, people hear, heard of, heard about, come to mind, think of, famous for, known for, best known, renowned, reputation, known, famous, special, notable, noteworthy, claim to fame, "
    "popular for, associated with, stand out, stands out, fame, unique, distinctive, well known, celebrated, specialize, "
    "interesting fact, interesting facts, fun fact, hint, clue, something about, about the city, about your city, about it, "
    "about yourself, features, feature, typical of, remarkable, interesting, describe it, describe the city, describe your city",
    "nickname": "nickname, nicknames, nicknamed, also called, sobriquet, moniker, also known as, dubbed, pet name",
    "sports": "sports, sport, team, teams, club, clubs, sports team, football club, soccer team, baseball team, local team, "
    "basketball team, hockey team, football team, stadium, league",
    "olympics": "olympics, olympic, olympic games, summer games, winter games, olympiad, olympian",
    "worldcup": "world cup, world cup final, football world cup, soccer world cup, fifa world cup",
    "airport": "airport, airports, fly into, fly to, land at, airlines",
    "university": "university, universities, college, colleges, higher education, study at",
    "people": "sons or daughters, famous sons, famous daughters, famous native, sons and daughters, famous people, famous person, celebrity, celebrities, born there, born in the city, comes from there, famous resident, "
    "famous residents, famous inhabitant, from there originally, famous son, grew up there, natives, historical figure, "
    "historical figures, who is from, who was born, who comes from, well known people, personalities, notable people, notable person",
    "festival": "festival, festivals, celebration, celebrations, holiday, holidays, event, events, celebrate, annual event",
    "industry": "make its money, makes its money, make their money, earn its money, earn their money, live off, industry, industries, economy, economic, jobs, produce, produces, production, manufacture, manufacturing, exports, "
    "export, main business, businesses, economic sector, sector, sectors, work in, make a living, economically",
    "government": "government, political system, ruled by, governed, politics, head of state, ruler, system of government, "
    "form of government, regime, political",
    "flag": "flag, flags, colors of the flag, colours of the flag",
    "drive": "drive, driving, side of the road, traffic go, steering wheel, side of the street, traffic drive",
    "phone": "calling code, phone code, dialling code, dialing code, country code, telephone code, phone prefix, area code",
    "colony": "which empire, what empire, colonize, colonise, conquered, conquer, occupy, under the control of, controlled by, ruled by, belonged to, colony, colonised, colonized, colonial, colonies, coloniser, colonizer, ruled over, under rule, rule, occupied, "
    "colonialism, colonial power, independence from, independence, british rule, colonists, ruled by a european power",
    "letters": "letter, letters, spelled, spelling, spell, starting with, beginning with, ending with, starts with, start with, begins with, begin with, begin, starts, vowel, "
    "vowels, initial, syllable, syllables, ends with, end with, first letter, two words, consonant, contain a space, a space in, have a space, consist of two words, multiple words, more than one word",
    "name": "people from there called, call people from there, demonym, call the people from there, residents called, inhabitants called, name of the city, city name, name of your city, what city, which city, your name, name your city, the answer, "
    "the city called, city called, what is it called, the secret, the name, called",
    "former_name": "use to be called, be called before, be called in the past, called before, called in the past, former name, formerly called, formerly known, used to be called, used to have, old name, previous name, "
    "different name, another name, renamed, other name, called something else, changed its name, change its name, "
    "alternative name, other names, change of name",
    # yes/no properties
    "one_word": "one word, single word, just one word, only one word, a single word",
    "mild_year": "mild all year, mild all year round, mild year round, mild the whole year, spring like all year, eternal spring",
    "monsoon": "monsoon, monsoons, monsoon season, monsoon rains",
    "capital": "president lives, president live, prime minister lives, prime minister live, government sits, parliament sits, capital, capital city, seat of government, national capital, capitals, national government",
    "capital_of": "capital of the country, capital of your country, capital of its country, capital of that country",
    "former_capital": "use to be the capital, former capital, formerly the capital, once the capital, used to be the capital, ever the capital, "
    "ever been the capital, previously the capital, old capital, been the capital, once been the capital, been a capital, "
    "imperial capital, ancient capital, historical capital, ever a capital, once a capital, former imperial capital",
    "regional_capital": "state capital, provincial capital, regional capital, capital of a state, capital of its state, "
    "capital of a province, capital of its province, capital of a region, capital of its region, capital of the state",
    "coast": "coast, coastal, coastline, sea, seaside, seafront, shore, shores, oceanfront, ocean, waterfront, maritime, by the water, "
    "on the water, near water, seashore, seaboard, on the sea, salt water, oceanside, saltwater, seas, shoreline, near the water, "
    "littoral, next to the water",
    "inland": "inland, landlocked, far from the sea, far from the coast, away from the coast, away from the sea, interior",
    "landlocked_country": "landlocked country, landlocked nation, country landlocked, country is landlocked, nation landlocked, "
    "country landlocked, landlocked state",
    "port": "port, harbor, harbour, port city, docks, seaport, ports, container port, ships, shipping, harbors, harbours, cruise ships",
    "beach": "sun and sand, beach holiday, seaside resort, sunbathing, beach, beaches, surf, surfing, swim in the sea, swim in the ocean, sunbathe, sandy, surfers, bathing",
    "island": "island, islands, isle, archipelago, on an island, island nation, island country, islets",
    "peninsula": "peninsula, peninsular",
    "mainland": "mainland, on the mainland, on the continent itself, continental europe, mainland europe, european mainland, on the european continent",
    "desert": "desert, sand dunes, sahara, dunes",
    "jungle": "jungle, rainforest, rain forest, amazon",
    "volcano": "volcano, volcanoes, volcanic, volcanos",
    "hurricanes": "hurricane, hurricanes, typhoon, typhoons, cyclone, cyclones, tropical storms",
    "earthquakes": "earthquake, earthquakes, quake, quakes, seismic, ring of fire, tremors",
    "hilly": "hilly, hills, hill, built on hills, steep",
    "flat": "flat, flat land, plain, lowland, plains, flatland",
    "hot": "wear shorts, shorts, sunscreen, air conditioning, t shirt weather, need air conditioning, hot, warm, heat, warm weather, hot climate, warm climate, scorching, boiling, sunny, hot weather, warm place, sweltering, sunshine, "
    "high temperatures",
    "very_hot": "hot in july, hot in august, hot during summer, hot during the summer, very hot, really hot, extremely hot, hot summers, hot summer, hot in summer, hot in the summer, "
    "40 degrees, 35 degrees, 30 degrees",
    "hot_year": "hot all year, hot year round, hot the whole year, hot all the time",
    "warm_year": "warm all year, warm year round, warm the whole year, all year round, year round, all year long, all year, "
    "warm all the time, never cold",
    "cold": "need a coat, warm coat, wear a coat, winter coat, need a jacket, warm clothes, gloves, warm jacket, thick coat, pack a coat, coat, below zero, below freezing, cold, chilly, freezing, freeze, frost, cold winters, cold winter, cold in winter, cold in the winter, cold climate, frosty, "
    "harsh winters, icy, low temperatures, cold weather, subzero, below zero, below freezing, cool climate, winter coat, cold place, "
    "really cold, very cold",
    "snow": "snow, snows, snowy, snowfall, snowing, skiing, ski, snowed, snowman, white christmas",
    "rain": "rainy, rain, rains, wet, raining, monsoon, monsoons, umbrella, drizzle, wet season, rainy season",
    "dry": "dry, arid, little rain, dry climate, drought, semi arid, dry season",
    "humid": "humid, humidity, muggy, sticky",
    "temperate": "temperate, mild, moderate, mild climate, moderate climate, temperate climate, pleasant",
    "tropical": "tropical, tropical climate",
    "n_cancer": "north of the tropic of cancer, above the tropic of cancer",
    "s_capricorn": "south of the tropic of capricorn, below the tropic of capricorn",
    "tropics": "tropics, in the tropics, between the tropics, tropical zone",
    "mediterranean": "mediterranean climate, mediterranean weather, mediterranean type climate",
    "seasons": "four seasons, four distinct seasons, distinct seasons",
    "hemisphere=N": "northern hemisphere, north of the equator, above the equator, north hemisphere, northern half, north of equator, "
    "upper half of the globe, northern part of the globe, above equator, northern side of the equator",
    "hemisphere=S": "opposite seasons, opposite season, seasons reversed, reversed seasons, opposite time, seasons the other way round, seasons are opposite, summer in december, summer in january, winter in july, winter in june, southern hemisphere, south of the equator, below the equator, south hemisphere, southern half, south of equator, "
    "down under, below equator, southern part of the globe, southern side of the equator, bottom half of the globe, under the equator",
    "hemisphere=E": "eastern hemisphere, east of greenwich, east of the prime meridian, east hemisphere, eastern half, "
    "east of the greenwich meridian",
    "hemisphere=W": "western hemisphere, west of greenwich, west of the prime meridian, west hemisphere, western half, "
    "west of the greenwich meridian",
    "hemisphere_alt": "northern or southern, southern or northern, north or south of the equator, north or south, eastern or western, "
    "western or eastern, northern or southern hemisphere, southern or northern hemisphere, eastern or western hemisphere, "
    "north or south hemisphere, above or below the equator, south or north of the equator, south or north",
    "hemisphere": "hemisphere, which half of the globe, half of the planet, side of the equator, half of the world",
    "equator": "equator, equatorial, near the equator, close to the equator, on the equator, on or near the equator, "
    "very close to the equator",
    "arctic": "arctic circle, arctic, near the north pole, polar circle",
    "big": "big city, large city, huge, big, large, enormous, populous, major city, large population, big population, metropolis, "
    "heavily populated, highly populated, crowded, massive, high population",
    "megacity": "megacity, mega city, megacities, megalopolis, most populous cities, largest cities in the world, biggest cities in the world, "
    "largest cities on earth, biggest cities on earth, world s largest cities, largest urban areas, largest cities, biggest cities, "
    "one of the largest cities, most populated cities",
    "dense": "densely populated, dense, population density, overcrowded, overpopulated, crowded",
    "small": "small city, small, tiny, little, small town, small population, town, village, sparsely populated",
    "second_largest": "second largest, second biggest, second largest city, second biggest city, second most populous, second city",
    "third_largest": "third largest, third biggest, third largest city, third biggest city",
    "largest": "largest city, biggest city, most populous city, country s largest, country largest, country biggest, largest in the country, "
    "biggest in the country, largest city in the country, largest city in its country, biggest city in its country, "
    "biggest city in the country, largest city of its country, largest city of the country, most populous in the country, "
    "biggest city of the country, most populated city, largest in its country, biggest in its country, most populous city in its country",
    "world_largest": "largest city in the world, biggest city in the world, most populous city in the world, world s largest city, "
    "world s biggest city, largest city on earth, world largest city, most populated city in the world",
    "ancient": "ancient, ancient city, very old, old, antiquity, historic, historical, centuries old, thousands of years, "
    "long history, rich history, oldest, before christ, bc, bce, roman times, millennia, thousand years",
    "modern": "modern, new city, young city, recent, recently founded, relatively new, contemporary, futuristic",
    "medieval": "medieval, middle ages",
    "planned": "planned city, purpose built, planned capital, built from scratch",
    "high": "high altitude, high elevation, mountain city, at altitude, elevated, high above sea level, highest, highest capitals, "
    "highest cities, high in the mountains, highlands, thin air, altitude sickness, plateau, in the mountains",
    "low": "near sea level, at sea level, close to sea level, low lying, low altitude, low elevation, around sea level",
    "below_sea": "below sea level, under sea level",
    "metro": "metro, subway, underground, tube, rapid transit, underground railway, metro system, underground trains, underground train, "
    "metro network, underground rail, mass transit, public transport, public transportation, subways, underground system, trains",
    "tram": "tram, trams, streetcar, streetcars, light rail, tramway",
    "skyscrapers": "skyscraper, skyscrapers, tall buildings, high rises, skyline, high rise, towers, tall building, highrise, highrises",
    "tallest": "tallest building in the world, world s tallest building, world tallest building, highest building in the world, "
    "tallest building on earth, world s tallest skyscraper, tallest skyscraper in the world, tallest tower in the world, "
    "world highest building, world tallest skyscraper, world tallest tower",
    "unesco": "unesco, world heritage, world heritage site, world heritage sites",
    "nightlife": "nightlife, clubbing, parties, party, night clubs, nightclubs, bars",
    "fashion": "fashion, haute couture, fashion week, fashion capital",
    "finance": "financial capital, financial, financial centers, financial centres,  finance, banking, stock exchange, financial center, financial centre, financial hub, banks, business center, "
    "business centre, wall street, economic hub, stock market",
    "canals": "canal, canals",
    "expo": "world fair, world s fair, expo, world expo",
    "tourist": "bucket list, bucket lists, somewhere nice, nice place, beautiful city, pretty city, nice city, beautiful place, pretty place, tourist, tourists, tourism, touristy, travelers, travellers, holiday destination, tourist destination, visitors, "
    "popular with tourists, many tourists, vacation, vacation destination",
    "rich": "rich, wealthy, developed country, developed, first world, high income, prosperous, affluent, wealth, developed nation, richer",
    "poor": "poor, developing country, developing, third world, poverty, low income, developing nation, emerging economy",
    "expensive": "expensive, costly, high cost of living, cost of living, pricey",
    "safe": "safe, crime, dangerous, violent, crime rate",
    "pollution": "pollution, polluted, smog, air pollution, dirty air",
    "traffic": "motorbikes, mopeds, streets full of, traffic, traffic jams, congested, congestion",
    "tech": "technology hub, tech hub, silicon valley, tech industry, technology, tech, high tech, it hub, tech companies, start ups, startups",
    "film": "film industry, movie industry, movies made, film making, filmmaking, movies, films, cinema, movie stars, movie",
    "monarchy": "monarchy, king, queen, royal family, royalty, emperor, monarch, kingdom, royals, sultan, prince, crown",
    "republic": "republic, president",
    "capitalist": "capitalist, capitalism, market economy, free market",
    "palms": "palm trees, palm tree, palms",
    "communist": "communist, communism, socialist, communist party, one party state, communist country",
    "democracy": "democracy, democratic, free elections, democratically, elections",
    "dictatorship": "dictatorship, authoritarian, dictator",
    "former_name_polar": "used to be called something else, had a different name, had another name, had other names",
    "largest_country": "largest country, biggest country, world s largest country, largest country in the world, "
    "biggest country in the world, largest country on earth, largest country by area",
    "most_populous_country": "most populous country, most populated country, most populous countries, billion people, over a billion",
    "war": "war, wars, at war, warfare, conflict, armed conflict, invaded, civil war",
    "ww2": "destroyed in a war, destroyed during a war, bombed in the war, destroyed by war, destroyed during the war, heavily bombed, rebuilt after the war, world war two, world war ii, world war 2, second world war, wwii, ww2, bombed, destroyed in the war, last world war",
    "two_continents": "two continents, both continents, in two continents, on two continents, more than one continent, transcontinental, "
    "spans two continents, straddle, straddles, europe and asia, asia and europe",
    "holy": "holy city, holy, pilgrimage, pilgrims, sacred, pope, vatican",
    "english_speaking": "english speaking, anglophone",
    "french_speaking": "french speaking, francophone",
    "spanish_speaking": "spanish speaking, hispanic, hispanophone",
    "portuguese_speaking": "portuguese speaking, lusophone",
    "arabic_speaking": "arabic speaking, arab country, arab world, arab, arab city, arab nation, arab state, arabs",
    "euro_football": "champions league",
    # with a value
    "family=romance": "related to latin, comes from latin, derived from latin, descended from latin, close to latin, romance language, latin language, latin based language, romance",
    "family=germanic": "germanic language, germanic",
    "family=slavic": "slavic language, slavic, slavonic, slavic country",
    "family=semitic": "semitic language, semitic",
    "family=turkic": "turkic language, turkic",
    "family=tonal": "tonal language, tonal, tones",
    "script=latin": "latin alphabet, roman alphabet, latin script, latin letters, roman letters, our alphabet, same alphabet, roman script",
    "script=cyrillic": "cyrillic, cyrillic alphabet, cyrillic script, cyrillic letters",
    "script=arabic": "arabic script, arabic alphabet, arabic letters, right to left",
    "script=characters": "chinese characters, kanji, hanzi",
    "currency=euro": "euro, euros, eurozone, euro zone",
    "currency=dollar": "dollar, dollars, us dollar, us dollars",
    "currency=pound": "pound, pounds, pound sterling, sterling",
    "currency=yen": "yen",
    "currency=yuan": "yuan, renminbi, rmb",
    "currency=won": "currency won, in won, the won",
    "currency=rupee": "rupee, rupees",
    "currency=peso": "peso, pesos",
    "currency=lira": "lira, liras",
    "currency=franc": "franc, francs, cfa franc, cfa",
    "currency=dinar": "dinar, dinars",
    "currency=dirham": "dirham, dirhams",
    "currency=riyal": "riyal, riyals",
    "currency=rial": "rial, rials",
    "currency=ruble": "ruble, rubles, rouble, roubles",
    "currency=krona": "krona, kronor",
    "currency=krone": "krone, kroner",
    "currency=rand": "rand, rands",
    "currency=baht": "baht",
    "currency=dong": "dong",
    "currency=rupiah": "rupiah",
    "currency=ringgit": "ringgit",
    "currency=kyat": "kyat",
    "currency=taka": "taka",
    "currency=som": "som",
    "currency=zloty": "zloty, zlotys",
    "currency=forint": "forint, forints",
    "currency=koruna": "koruna, korunas",
    "currency=shilling": "shilling, shillings",
    "currency=naira": "naira",
    "currency=cedi": "cedi, cedis",
    "currency=birr": "birr",
    "currency=bolivar": "bolivares",
    "currency=hryvnia": "hryvnia",
    "currency=leu": "leu, lei",
    "religion=islam": "muslim, muslims, islam, islamic, mosques, mosque, sunni, shia, shiite, ramadan, allah, muslim country",
    "religion=christian": "christian, christians, christianity, churches, church, jesus, christmas, christian country",
    "religion=catholic": "catholic, catholics, catholicism, roman catholic",
    "religion=orthodox": "orthodox, orthodox christian, eastern orthodox, orthodox christianity",
    "religion=protestant": "protestant, protestants, lutheran, anglican, protestantism",
    "religion=buddh": "buddhist, buddhists, buddhism, buddha",
    "religion=hindu": "hindu, hindus, hinduism",
    "religion=jew": "jewish, jews, judaism, synagogue",
    "religion=shinto": "shinto, shintoism",
    "group=eu": "european union, eu, e u, eu member, eu country, member of the eu",
    "group=nato": "nato, nato member",
    "group=g7": "g 7, g7",
    "group=g20": "g 20, g20",
    "group=brics": "brics, bric",
    "group=asean": "asean",
    "group=commonwealth": "commonwealth, commonwealth of nations",
    "group=african union": "african union",
    "group=oecd": "oecd",
    "group=soviet": "soviet union, ussr, soviet, soviet republic, former soviet union, former soviet republic, soviets",
    "group=nuclear": "nuclear weapons, nuclear power, nuclear armed, atomic bomb",
    "group=schengen": "schengen, schengen area",
    "bloc": "eastern bloc, iron curtain, warsaw pact",
    "drive=left": "drive on the left, left hand side, on the left, left side, drive left, left side of the road, left hand traffic",
    "drive=right": "drive on the right, right hand side, on the right, right side, drive right, right side of the road",
    "game=football": "soccer, football",
    "game=cricket": "cricket",
    "game=rugby": "rugby",
    "game=baseball": "baseball",
    "game=ice hockey": "ice hockey, hockey",
    "game=basketball": "basketball, nba",
    "game=american football": "american football, nfl",
    "game=australian football": "australian rules, aussie rules",
    "coast_side=west": "west coast, western coast, western seaboard, western shore",
    "coast_side=east": "east coast, eastern coast, eastern seaboard, eastern shore",
    "coast_side=north": "north coast, northern coast",
    "coast_side=south": "south coast, southern coast",
}

RELATIONS: dict[str, str] = {
    "near": "near, nearby, close to, closer to, next to, not far from, around, in the vicinity of, adjacent to, beside, within reach of, "
    "near to, alongside, close by, neighbour of, neighbor of, across from, opposite",
    "far": "far from, far away from, a long way from, distant from, far off from, nowhere near",
    "border": "borders, border, bordering, bordered by, share a border with, shares a border with, sharing a border with, neighbours, "
    "neighbors, neighbour, neighbor, neighbouring, neighboring, share borders with, adjoin, border with, borders with, "
    "touch, touches, land border with, next to the country",
    "bigger": "bigger than, larger than, more populous than, more people than, bigger, larger, more populous, more people, more inhabitants, "
    "more inhabitants than, more residents, more residents than, more populated, more populated than, outnumber, greater population, "
    "larger population, bigger population, more people living, higher population, exceed, exceeds, population exceed",
    "smaller": "smaller than, less populous than, fewer people than, smaller, less populous, fewer people, fewer inhabitants, less people, "
    "fewer residents, less populated, smaller population, lower population, less inhabitants",
    "more": "more than, over, above, at least, greater than, upwards of, in excess of, exceeding, beyond, than",
    "less": "less than, under, below, fewer than, at most, not more than, up to",
    "between": "between",
    "older": "older than, older, more ancient, founded before, founded earlier, established before",
    "younger": "younger than, younger, newer than, newer, founded after, founded later, established after, founded since",
    "before": "before, earlier than, prior to",
    "after": "after, later than, since",
    "hotter": "hotter than, warmer than, hotter, warmer",
    "colder": "colder than, cooler than, colder, cooler",
    "higher": "higher than, higher, more elevated",
    "lower": "lower than, lower",
    "closer_equator": "closer to the equator than, nearer to the equator than, nearer the equator than",
    "part_north": "in the north of, in northern, northern part of, northern, north of the country in, in the northern part of, northern half of",
    "part_south": "in the south of, in southern, southern part of, southern, in the southern part of, southern half of",
    "part_east": "in the east of, in eastern, eastern part of, eastern, in the eastern part of, eastern half of",
    "part_west": "in the west of, in western, western part of, western, in the western part of, western half of",
    "north": "north of, more to the north than, further to the north than, further north than, farther north than, to the north of, more northerly than, northward of, further up north than",
    "south": "south of, more to the south than, further to the south than, further south than, farther south than, to the south of, more southerly than",
    "east": "east of, more to the east than, further to the east than, further east than, farther east than, to the east of",
    "west": "west of, more to the west than, further to the west than, further west than, farther west than, to the west of",
    "same": "same country as, same continent as, same nation as, same time zone as, same language as, same currency as, "
    "same region as, same hemisphere as, in common with",
}

NEGATORS = frozenset("not outside without non never neither nor except no nt isnt_not".split())
"""Words that turn the next predicate round. Contractions do not: "isn't it hot?" asks whether it is hot."""
