"""Can a policy go either way where both are right, and does it keep to one?"""
