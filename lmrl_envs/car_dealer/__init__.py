"""Car Dealer: sell a car to a buyer whose wishes, budget and temper are hidden."""
