"""Words that exclude each other: opposites in pairs, and families of siblings."""

from collections.abc import Iterable

from askonce.semantic.guards.lexicon.stems import canonical, singular
from askonce.semantic.guards.lexicon.word_list import groups_of

OPPOSITES: tuple[tuple[str, ...], ...] = groups_of("""
advantage disadvantage, pros cons, benefit drawback, strength weakness, strongest weakest, strong
weak, best worst, better worse, good bad, good evil, positive negative, most least, more less,
more fewer, many few, maximum minimum, max min, increase decrease, increase reduce, increasing
decreasing, gain lose, high low, higher lower, highest lowest, big small, bigger smaller, biggest
smallest, large small, largest smallest, long short, longer shorter, longest shortest, tall short,
fast slow, faster slower, fastest slowest, hot cold, hottest coldest, warm cool, early late,
earlier later, earliest latest, first last, old new, old young, older younger, oldest youngest,
oldest newest, rich poor, richest poorest, cheap expensive, cheapest expensive, easy hard, easy
difficult, easier harder, easiest hardest, happy sad, love hate, like dislike, like hate, buy
sell, buying selling, buy rent, lend borrow, import export, send receive, upload download, install
uninstall, enable disable, activate deactivate, open close, open closed, lock unlock, block
unblock, follow unfollow, friend unfriend, connect disconnect, add remove, add delete, create
delete, start stop, start end, start finish, begin end, enter exit, enter leave, arrive depart,
arrival departure, arrive leave, win lose, pass fail, accept reject, accept decline, allow forbid,
allow ban, legal illegal, legally illegally, true false, right wrong, right left, correct
incorrect, possible impossible, safe dangerous, safe unsafe, healthy unhealthy, natural
artificial, natural synthetic, public private, personal business, internal external, inner outer,
inside outside, indoor outdoor, input output, inpatient outpatient, domestic international,
national international, foreign domestic, local global, online offline, before after, above below,
over under, up down, top bottom, front back, front rear, forward backward, include exclude,
including excluding, always never, often rarely, everyone nobody, all none, everything nothing,
alive dead, join leave, rise set, dying thriving, male female, man woman, men women, man girl, boy
girl, boy woman, boys women, men girls, guy girl, guy woman, guys women, gay straight, gay
lesbian, husband wife, boyfriend girlfriend, mother father, mom dad, mother daughter, father son,
son daughter, brother sister, king queen, prince princess, actor actress, his her, he she, him
her, parent child, parents children, employer employee, teacher student, buyer seller, landlord
tenant, host guest, doctor patient, introvert extrovert, introverted extroverted, introversion
extroversion, optimist pessimist, atheist theist, liberal conservative, democrat republican,
capitalism socialism, capitalism communism, left-wing right-wing, vegetarian vegan, veg non-veg,
north south, east west, northern southern, eastern western, summer winter, spring autumn, day
night, morning evening, morning night, am pm, black white, light dark, hardware software, theory
practice, theoretical practical, active passive, active inactive, static dynamic, stack queue,
stack heap, serial parallel, series parallel, analog digital, linear nonlinear, finite infinite,
direct indirect, absolute relative, singular plural, formal informal, simple complex, organic
inorganic, acid base, acidic basic, metal nonmetal, solid liquid, liquid gas, solid gas, kinetic
potential, homogeneous heterogeneous, homozygous heterozygous, endothermic exothermic, ionic
covalent, prokaryotic eukaryotic, mitosis meiosis, dna rna, artery vein, vertical horizontal,
vertically horizontally, row column, asset liability, debit credit, profit loss, revenue expense,
deposit withdraw, deposit withdrawal, supply demand, macro micro, macroeconomics microeconomics,
undergraduate graduate, undergraduate postgraduate, bachelor master, junior senior, minor major,
beginner expert, beginner advanced, beginner intermediate, ancient modern, past future, past
present, present future, yesterday tomorrow, yesterday today, today tomorrow, tonight tomorrow,
previous next, last next, last this, minority majority, maternal paternal, encode decode, encrypt
decrypt, encryption decryption, compress decompress, serialize deserialize, encoder decoder,
server client, frontend backend, virus bacteria, viral bacterial, type1 type2, raw cooked, wet
dry, oral injection, introduce ban, raise lower, rise fall, rising falling, heaven hell, god
devil, war peace, offensive defensive, attack defend, innocent guilty, married single, married
unmarried, marry divorce, marriage divorce, friend enemy, introductory advanced, subjective
objective, qualitative quantitative, verbal nonverbal, voluntary involuntary, conscious
unconscious, conscious subconscious, literal figurative, pregnant unpregnant, stretch contract,
expand contract, push pull, freeze thaw, freezing boiling, melting boiling, melting freezing,
sunrise sunset, breakfast dinner, breakfast lunch, lunch dinner, deductive inductive, centripetal
centrifugal, concave convex, emigrate immigrate, ascending descending, ascend descend, cause
effect, causes symptoms, causes treatment, causes cure, symptoms treatment, symptoms cure,
effective ineffective, efficient inefficient, mortal immortal, moral immoral, normal abnormal,
regular irregular, visible invisible, reversible irreversible, complete incomplete, dependent
independent, mature immature, experienced inexperienced, lucky unlucky, employed unemployed,
employment unemployment, known unknown, popular unpopular, larger smaller, taller shorter, tallest
shortest, hotter colder, warmer cooler, stronger weaker, richer poorer, happier sadder, safer
riskier, heavier lighter, heaviest lightest, heavy light, wide narrow, wider narrower, deep
shallow, thick thin, thicker thinner, thin fat, near far, nearest farthest, closest farthest, loud
quiet, louder quieter, soft hard, rough smooth, sharp blunt, sharp dull, clean dirty, bright dark,
brighter darker, bright dim, full empty, fill empty, tight loose, awake asleep, odd even, plus
minus, add subtract, multiply divide, born died, birth death, prefix suffix, uppercase lowercase,
upper lower, show hide, hide reveal, expand collapse, grow shrink, inflate deflate, promote
demote, hire fire, hired fired, praise criticize, remember forget, succeed fail, success failure,
victory defeat, winner loser, build destroy, create destroy, save spend, saving spending, earn
spend, sit stand, sleep wake, rainy sunny, cloudy sunny, urban rural, optimism pessimism, wealth
poverty, comedy tragedy, predator prey, lender borrower, inhale exhale, absorb emit, attract
repel, clockwise counterclockwise, clockwise anticlockwise, on off, used left, used remaining,
taken left, spent left, attach detach, during after, during before, until after, confident
insecure, brave cowardly, kind cruel, polite rude, generous stingy, humble arrogant, lazy
hardworking, careful careless, sweet sour, sweet bitter, fresh stale, fresh rotten, fresh frozen,
common uncommon, common rare, usual unusual, fair unfair, conditional unconditional, limited
unlimited, loss gain
""")
"""Pairs of words that exclude each other."""

KINDS: tuple[tuple[str, ...], ...] = groups_of("""
red blue green yellow orange purple pink brown black white gray grey silver gold,
mother father brother sister son daughter uncle aunt cousin grandmother grandfather niece nephew
wife husband boyfriend girlfriend,
dog cat horse cow pig sheep goat rabbit hamster parrot bird fish snake turtle lizard rat mouse
monkey lion tiger bear wolf fox elephant,
python java javascript c c++ c# ruby perl php scala kotlin swift rust golang haskell matlab sql
html css typescript fortran cobol lua,
windows linux mac macos android ios ubuntu,
facebook instagram whatsapp twitter quora snapchat youtube linkedin reddit tumblr pinterest
tinder google gmail yahoo bing wechat telegram skype netflix amazon ebay flipkart uber lyft
airbnb,
apple samsung sony nokia motorola lenovo dell asus acer microsoft xiaomi oneplus huawei lg htc,
physics chemistry biology mathematics maths math geography history economics psychology
philosophy sociology,
mechanical electrical civil chemical electronics computer aerospace aeronautical automobile
petroleum,
christianity islam hinduism buddhism judaism sikhism jainism,
christian muslim hindu buddhist jew jewish sikh jain,
christians muslims hindus buddhists jews sikhs jains,
football cricket tennis basketball baseball hockey golf soccer volleyball badminton rugby
swimming,
guitar piano violin drums flute cello saxophone ukulele,
north south east west,
northern southern eastern western,
spring summer autumn fall winter,
carbon nitrogen oxygen hydrogen helium lithium sodium potassium calcium magnesium iron copper
zinc silver gold mercury lead aluminum aluminium chlorine fluorine iodine sulfur phosphorus,
mercury venus mars jupiter saturn uranus neptune pluto,
king queen prince princess duke,
breakfast lunch dinner,
bus train plane car taxi ship boat subway,
tea coffee beer wine whiskey vodka rum juice milk water soda,
apple banana mango grape pear peach lemon strawberry pineapple,
chicken beef pork lamb turkey mutton bacon ham,
kidney liver heart lung brain stomach pancreas spleen bladder,
head neck shoulder arm elbow wrist hand finger leg knee ankle foot toe,
eye ear nose mouth tongue tooth chin,
dollar euro pound rupee yen yuan peso franc won ruble bitcoin,
bitcoin ethereum litecoin dogecoin,
json xml yaml csv pdf docx xls mp3 mp4 png jpg gif,
bachelor master phd diploma,
lawyer doctor nurse teacher engineer accountant dentist pharmacist architect pilot scientist
chef actor,
visa mastercard amex paypal,
square rectangle triangle circle cube sphere cylinder cone trapezoid,
addition subtraction multiplication division,
noun verb adjective adverb pronoun,
cm mm km kg mg lb oz mile inch yard,
aries taurus gemini cancer leo virgo libra scorpio sagittarius capricorn aquarius pisces,
earthquake hurricane tornado tsunami flood volcano,
anxiety depression autism schizophrenia adhd ocd,
wooden glass metal plastic steel leather cotton silk wool paper rubber concrete marble,
tomato potato carrot onion garlic cucumber lettuce spinach cabbage broccoli pumpkin mushroom,
milk cream butter cheese yogurt,
passport visa license,
password username,
boss landlord neighbor coworker roommate tenant,
spring autumn summer winter,
monday tuesday wednesday thursday friday saturday sunday,
hydrogen oxygen nitrogen helium,
http https ftp ssh smtp tcp udp,
rice pasta bread noodle,
christmas easter thanksgiving halloween ramadan diwali hanukkah,
install update uninstall,
credit debit
""")
"""Families of siblings: a question about one member is never a question about another."""


def partners_of(groups: Iterable[tuple[str, ...]]) -> dict[str, frozenset[str]]:
    """Map each word of the groups, singular, to the words that exclude it."""
    partners: dict[str, set[str]] = {}
    for group in groups:
        bases = {singular(word) for word in group}
        for word in bases:
            others = {other for other in bases if canonical(other) != canonical(word)}
            partners.setdefault(word, set()).update(others)
    return {word: frozenset(others) for word, others in partners.items()}
