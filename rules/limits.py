"""How much may a rule set ask for, so that no rule of it can hurt another or a decision?

Expressions are bounded by `Language.compile` (sizes, nesting, and the work that `cel_cost.py`
counts), so what is too much is refused by `check` and by loading alike. Files are bounded by
`check`. Invariant: what stays within these limits is evaluated in bounded time, whatever the event
says.
"""

# --- one expression (`Language.compile`; codes cel-too-long, cel-too-deep, cel-costly, cel-regex)

# The longest shipped rule has 300 characters; a rule of 4,000 is a list or a table written out.
MAX_EXPRESSION_CHARACTERS = 4_000
# Open brackets within each other. The runtime's parser gives up at 32, and a rule is evaluated as
# an element of a list, which takes some of them; people read about 4.
MAX_NESTING = 12
# Comprehensions (exists, all, map, filter) within each other: two lists can be compared, no more.
MAX_NESTED_COMPREHENSIONS = 2
# Elements that all comprehensions of an expression visit, worst case. The runtime stops at 10,000
# for everything that is evaluated together, so a dozen rules at the limit still fit.
MAX_ITERATIONS = 500
# Entries of one list or map written out. Longer ones are lists (`in_list`) or tables.
MAX_LITERAL_ENTRIES = 200
# Characters of one text written out. No fact is longer.
MAX_LITERAL_CHARACTERS = 1_024
# Characters of a pattern of `matches`, which must be written out.
MAX_REGEX_CHARACTERS = 200
# States of a pattern with its counted repetitions written out, at 26 us each on 1,024 characters:
# (a{1,100}){1,10} has 1,010 and takes 66 ms, for RE2 promises linear time, not a small factor.
MAX_REGEX_STATES = 80
# A text fact that is longer counts as one of the wrong type. Events allow 1,024.
MAX_FACT_CHARACTERS = 1_024
# Worst case of one rule in steps of 0.1 us, as `cel_cost.py` counts them.
MAX_COST = 25_000

# --- a rule set (`check_files`)

# Evaluating a rule costs 2.5 us at most: 2,000 rules of one event type are 5 ms.
MAX_RULES = 2_000
# Worst case of all rules of one event type together, in steps: 20 ms of a decision's 150 ms, met
# only if every rule and every text is the worst. 2,000 rules of 20 steps take 40,000.
MAX_COST_OF_EVENT_TYPE = 200_000
MAX_FILES = 200
MAX_FILE_BYTES = 1_000_000
MAX_BYTES = 4_000_000
# Decision tables: rows of one, and columns.
MAX_TABLE_ROWS = 1_000
MAX_TABLE_COLUMNS = 20
# Weighted items of one score card.
MAX_SCORE_CARD_ITEMS = 100
MAX_EXAMPLES_OF_RULE = 50
MAX_PARAMETERS_OF_RULE = 20
# Different list and kind pairs: each is looked up for every event.
MAX_LISTED = 50
