"""20 Questions: find the hidden object with yes/no questions in free English."""
