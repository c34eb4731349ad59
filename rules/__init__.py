"""What we do: rules in CEL, the policy that settles an outcome, and the texts of the reasons.

Pure and total: nothing in here reads a clock, the environment or a store, and nothing in
here knows `features` or `service`.
"""
