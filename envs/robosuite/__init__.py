"""robosuite's Lift, Can and Square as Gymnasium environments."""
