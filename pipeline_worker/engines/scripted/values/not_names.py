"""Words that are not names, although they stand where a name could: "I'm hungry", "for Friday", "it's all right".

In lower case. Some are also names, and count as names only if another name follows: "April Jones".
"""

from pipeline_worker.engines.scripted.values.sentence import word_list

_GRAMMAR = word_list("""
    a an the and or but if so that than then as not no
    for at on in of to with by from
    i me my we us our you your he his she her they them their it this these those there here
    what when where who why how which
    is are was be been being am do does did doing have has had having
    can could would will shall should may might
    all any anything everything nothing some something instead same
    don't can't won't isn't it's i'm i'd we'd we're we'll let's
    him he's she's they're you're
    what's that's who's where's how's there's here's
    yourself myself
""")
_ASIDES = word_list("""
    um uh er erm like just also too only about around maybe actually well absolutely definitely exactly certainly sure
    yes yeah okay ok please thanks thank sorry pardon wait hold stop never mind forget hello hi hey bye goodbye
""")
_NUMBERS = word_list("""
    one two three four five six seven eight nine ten half double number
    bit little lot many much more less
""")
_TIMES = word_list("""
    today tomorrow tonight morning noon afternoon evening night midnight late early past quarter
    monday tuesday wednesday thursday friday saturday sunday
    january february march april june july august september october november december
    christmas eve birthday anniversary week weekend month year next mon tue tues wed thu thurs fri sat sun
""")
_COMPANY = word_list("""
    people persons person guests party family wife husband friend daughter son boss mum mom dad kids children
""")
_RESTAURANT = word_list("""
    table booking reservation dinner lunch eat drink food menu restaurant place address parking phone business work
    vegetarian vegan gluten allergic open closed
""")
_STATES = word_list("""
    circumstances love back stand completely room mayor
    hungry tired happy glad afraid interested ready good great fine perfect correct right wrong possible new running
""")
_ACTIONS = word_list("""
    want need know thinking looking hoping trying wondering going gonna coming calling call called speaking said say
    get got make made put book reserve order cancel change
""")
_OF_NAMES = word_list("""
    name names surname first last full spelled spelt spelling capital letter
""")

ALSO_NAMES = frozenset(word_list("april june august will eve may"))
NOT_NAMES = frozenset((
    *_GRAMMAR, *_ASIDES, *_NUMBERS, *_TIMES, *_COMPANY, *_RESTAURANT, *_STATES, *_ACTIONS, *_OF_NAMES,
))  # fmt: skip
