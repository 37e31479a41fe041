"""On a linear system the policy is a = -K s."""
