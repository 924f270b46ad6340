"""Ordinary English words, by hand and by frequency; any other word may be a name."""

import functools

from askonce.semantic.guards.lexicon.english import ALIASES, STOP
from askonce.semantic.guards.lexicon.stems import stem
from askonce.semantic.guards.lexicon.word_list import words_of

_WORDS = """
ability able abroad absence absolute abuse academic academy accent accept access accident
account accurate accuse ache achieve acid acquire acquisition act action active activity actor
actress actual adapt add addict addiction addition address adjust administration admission admit
adopt adult advance advantage adventure advertise advice advise affair affect afford afraid
afternoon age agency agent aggressive agree agreement agriculture ahead aid aim air aircraft
airline airport alarm album alcohol alien alive allergy allow almost alone alphabet alternate
alternative altitude amateur amaze ambition ambulance amount analysis analyst analyze ancient
anger angle angry animal anniversary announce annoy annual anonymous answer anticipate anxiety
anxious apart apartment apology app apparent appeal appear appearance apple application apply
appoint appointment appreciate approach appropriate approve approximate arch architect
architecture area argue argument arm army arrange arrest arrive arrogant art article artificial
artist aside ask asleep aspect assembly assess asset assign assignment assist assistant
associate assume atheist athlete atmosphere atom attach attack attempt attend attention attitude
attract attractive audience author authority auto automatic available average avoid awake award
aware awareness away awesome awful awkward baby bachelor background bacteria bad bag bake
balance ball ban band bank bar bare bargain bark base basic basis basket bath bathroom battery
battle beach beam bean bear beard beat beautiful beauty because bed bedroom beef beer beg begin
beginner behave behavior behind belief believe bell belly belong belt bend beneath benefit bet
bias big bike bill bind biography biology bird birth birthday bite bitter black blade blame
blank bleed blend bless blind block blog blood blow blue board boat body boil bomb bond bone
bonus book boost boot border bored boring born borrow boss bother bottle bottom bound box boy
boyfriend brain brake branch brand brave bread break breakfast breast breath breathe breed brick
bride bridge brief bright brilliant bring broad broadcast broken brother brown brush budget bug
build bulb bully burn burst bus business busy butter button buy cabin cabinet cable cake
calculate calendar call calm camera camp campaign campus cancel cancer candidate candle cap
capable capacity capital captain capture car carbon card care career careful carry cart cartoon
case cash casino cast casual cat catch category cause cave cease ceiling celebrate celebrity
cell cement center central century ceremony certain certificate certify chain chair challenge
champion chance change channel chapter character charge charger charity charm chart chase chat
cheap cheat check cheese chef chemical chemistry chest chicken chief child chip chocolate choice
choose church cigarette cinema circle circuit circumstance citizen city civil civilization claim
class classic classroom clean clear clerk clever click client climate climb clinic clock close
cloth clothes clothing cloud club coach coal coast coat code coffee coin cold collapse collar
colleague collect college colony color column combine comedian comedy comfort comfortable comic
command comment commerce commercial commission commit committee common communicate community
company compare compete competition competitive complain complete complex complicate component
compose compound comprehensive compress compute computer concentrate concept concern concert
conclude concrete condition conduct conference confidence confident confirm conflict confuse
congress connect connection conscious consequence conservative consider consist constant
constitution construct construction consult consultant consume consumer contact contain content
contest context continent continue contract contrast contribute control controversial convenient
conversation convert convince cook cookie cool cooperate cope copy core corn corner corporate
correct correspond corrupt cost costume cotton cough council counsel counselor count counter
country county couple courage course court cousin cover cow crack craft crash crazy cream create
creative creature credit creep crew crime criminal crisis criteria critic critical criticism
crop cross crowd cruel crush cry crystal culture cup cure curious curl currency current
curriculum curve custom customer cut cute cycle daily damage dance danger dangerous dare dark
data database date daughter dead deaf deal dear death debate debt decade decay deceive decent
decide decision deck declare decline decorate decrease deep deer defeat defend defense deficit
define definite definition degree delay delete deliver delivery demand democracy dentist deny
depart department depend deposit depress depression depth derive describe desert deserve design
desire desk desktop desperate destroy detail detect determine develop developer device devil
diabetes diagnose dialog diamond diary dictionary die diet differ difference difficult
difficulty dig digital dinner diploma direct direction director directory dirt dirty disable
disadvantage disagree disappear disappoint disaster discipline discount discover discovery
discrimination discuss disease disgust dish disk dislike display distance distant distribute
district disturb divide divorce dog domain domestic dominate donate door dose dot double doubt
download dozen draft drag drama draw drawer dream dress drill drink drive driver drop drown drug
drum dry due dull dumb dump dust duty dwell dynamic eager ear early earn earth earthquake ease
east easy eat economic economics economy edge edit edition editor educate education effect
effective efficient effort egg ego eight either elect election electric electrical electricity
electron electronic elegant element elephant eleven eligible else email embarrass embed emerge
emergency emission emotion emotional emphasis empire employ employee employer empty enable
encounter encourage end enemy energy engage engine engineer engineering enhance enjoy enormous
enough ensure enter entertain enthusiasm entire entrance entrepreneur entry environment equal
equation equip equipment era error escape especially essay essential establish estate estimate
eternal ethic ethnic evaluate even event eventually ever evidence evil evolution evolve exact
exam examination example excel excellent except exchange excite excuse execute executive
exercise exhibit exist existence exit expand expect expense expensive experience experiment
expert explain explode explore export expose express extend extent external extra extract
extreme extremely eye fabric face facility fact factor factory fade fail failure faint fair
faith fake fall false fame familiar family famous fan fancy fantasy far farm farmer fashion fast
fasten fat fatal father fault favor favorite fear feature federal fee feed feel fellow female
fence festival fetch fever few fiction field fight figure file fill film filter final finance
financial find fine finger finish fire firm first fish fit fitness five fix flag flame flash
flat flavor flaw flesh flexible flight float flood floor flour flow flower flu fluent fluid fly
focus fold folk follow food fool foot football force foreign forest forever forget forgive form
formal format former formula fortune forum forward found foundation founder four fraction frame
franchise fraud free freedom freelance freeze frequency frequent fresh freshman friend friendly
friendship frighten front fruit frustrate fuel full fun function fund fundamental funeral funny
furniture further future gain gallery gamble game gap garage garbage garden gas gate gather gay
gear gender gene general generate generation generous genius gentle genuine geography ghost
giant gift girl girlfriend give glad glass global glory glove glue goal god gold golden good
goods govern government governor grab grace grade gradual graduate graduation grammar grand
grandfather grandmother grant graph graphic grass grateful grave gravity gray great green greet
grey grind grocery gross ground group grow growth guarantee guard guess guest guide guilt guilty
guitar gum gun guy gym habit hack hacker hair half hall hand handle handsome hang happen happy
harassment hard hardware harm harmful hate head headache headphone heal health healthy hear
heart heat heaven heavy height hell helmet help hen hero hide high highway hike hill hire
historical history hit hobby hold hole holiday home homework honest honor hook hope horrible
horror horse hospital host hot hotel hour house household housing huge human humor hundred
hunger hungry hunt hurricane hurry hurt husband ice idea ideal identify identity ignorant ignore
illegal illness illusion image imagine immediate immigrant immigration immune impact implement
imply import important impose impossible impress impression improve inch incident include income
increase incredible independence independent index indicate individual industrial industry
infant infect infection infinite inflation influence inform information ingredient inherit
initial injection injure injury ink inner innocent innovation input insect insert inside insist
inspect inspire install instance instant instead institute institution instruct instrument
insult insurance integrate intellectual intelligence intelligent intend intense intention
interact interest interesting interface internal international internet interpret interrupt
interview introduce introduction introvert invade invent invention invest investigate investment
investor invisible invite involve iron island isolate issue item jacket jail jam jealous jewelry
job join joint joke journal journalist journey joy judge juice jump junior jury justice justify
keen keep key keyboard kick kid kidnap kidney kill kind king kingdom kiss kitchen knee knife
knock know knowledge label labor lack ladder lady lake lamb lamp land landlord language laptop
large last late laugh launch law lawn lawyer lay layer lazy lead leader leadership leaf leak
lean learn leather leave lecture left leg legal legend leisure lemon lend length lens lesbian
less lesson let letter level liberal liberty library license lick lid lie life lift light
lightning like limit line link lion lip liquid list listen literacy literally literature little
live liver load loan local locate location lock logic logical logo lonely long look loop loose
lord lose loss lost lot loud love lovely lover low loyal luck lucky luggage lunch lung luxury
machine mad magazine magic magnet magnetic mail main maintain major majority make makeup male
man manage management manager manner manual manufacture many map marathon margin mark market
marriage marry mask mass massage master masturbation match mate material math mathematics matrix
matter mature maximum meal mean meaning measure meat mechanic mechanical mechanism medal media
medical medication medicine meditation medium meet member memory mental mention menu mess
message metal meter method middle midnight might migrate mile military milk million mind mine
mineral minimum minister minor minority minute miracle mirror miss missile mission mistake mix
mixture mobile mode model moderate modern modest modify molecule moment money monitor monkey
month mood moon moral morning mortgage mosque mother motion motivate motivation motor motorcycle
mount mountain mouse mouth move movement movie much multiple murder muscle museum music musical
musician mutual mystery myth nail naked name narrow nation national native natural nature naval
near nearby neat necessary neck need negative neighbor nerve nervous net network neutral new
news newspaper next nice night nine noble nobody noise none noon normal north nose note notebook
notice notion novel nuclear number numerous nurse nut nutrition obey object objective oblige
observe obsess obtain obvious occasion occupy occur ocean odd offend offer office officer
official offline often oil okay old one online open opera operate operation operator opinion
opponent opportunity oppose opposite option oral orange orbit order ordinary organ organic
organization orgasm orient origin original orphan other outcome outer outfit outline output
outside oven overall overcome owe own owner oxygen pace pack package page pain painful painless
paint painter painting pair palace pale pan panel panic paper paragraph parallel parent park
parliament part participate particle particular partner partnership party pass passenger passion
passive passport password past path patient pattern pause pay payment peace peak peer pen
penalty pencil pending penis people pepper perceive percent percentage perfect perform
performance perhaps period permanent permission permit person personal personality perspective
persuade pet petrol phase phenomenon philosophy phone photo photograph photographer photography
phrase physical physician physics piano pick picture piece pig pile pill pilot pimple pin pink
pipe pitch pizza place plain plan plane planet plant plastic plate platform play player pleasant
please pleasure plenty plot plug plus pocket poem poet poetry point poison police policy polite
political politician politics poll pollute pollution pool poor pop popular popularity population
porn port portfolio portion portrait pose position positive possess possibility possible post
poster pot potato potential pound pour poverty powder power powerful practical practice praise
pray prayer precious precise predict prefer preference pregnancy pregnant prepare presence
present presentation preserve president presidential press pressure pretend pretty prevent
previous price pride priest primary prime prince princess principal principle print printer
prior priority prison prisoner privacy private prize probability probable problem procedure
proceed process processor procrastinate procrastination produce producer product production
profession professional professor profile profit profitable program programmer programming
progress prohibit project promise promote promotion proof proper property proportion proposal
propose prospect prostitute protect protection protein protest proud prove provide province
provision psychological psychologist psychology public publish publisher pull pulse punch punish
punishment purchase pure purple purpose pursue push put puzzle qualification qualify quality
quantity quantum quarter queen query question quick quiet quit quiz quotation quote race racism
racist radiation radical radio rail railway rain raise random range rank rape rapid rapper rare
rat rate ratio rational raw reach react reaction read reader ready real realistic reality
realize rear reason reasonable rebel receipt receive recent recipe recognize recommend
recommendation record recover recovery recruit recruitment red reduce refer reference reflect
reform refuse regard region register registration regret regular regulate regulation reject
relate relation relationship relative relax release relevant reliable relief religion religious
rely remain remark remedy remember remind remote remove renew rent repair repeat replace
replacement reply report reporter represent representative republic reputation request require
rescue research researcher resemble reservation reserve resident resist resolution resolve
resource respect respond response responsible rest restaurant restore restrict result resume
retail retain retire retirement retrieve return reveal revenue reverse review revise revolution
reward rhyme rhythm rice rich ride right ring rise risk rival river road rob robot rock rocket
role roll romance romantic roof room root rope rose rough round route routine row royal rub
rubber rude ruin rule rumor run rural rush sacred sad safe safety sail salary sale salt same
sample sand satellite satisfy sauce save saving say scale scam scar scare scary scene schedule
scheme scholar scholarship school science scientific scientist scope score scratch scream screen
script scroll sea seal search season seat second secret secretary section sector secure security
seed seek seem select self sell semester send senior sense sensitive sentence separate sequence
series serious serve server service session set settle seven severe sex sexual sexy shadow shake
shall shame shampoo shape share shark sharp shave shed sheep sheet shelf shell shelter shift
shine ship shirt shock shoe shoot shop shopping shore short shoulder shout show shower shrink
shut shy sick side sight sign signal significance significant silence silent silk silly silver
similar simple simulate since sing singer single sink sir sister sit site situation six size
skill skin skinny skip skirt sky slang slave slavery sleep slice slide slight slim slip slow
small smart smell smile smoke smooth snake snow soap soccer social socialist society sock soft
software soil solar soldier solid solution solve song soon sore sort soul sound soup source
south space spare speak speaker special species specific spectrum speech speed spell spend sperm
spice spider spin spirit spiritual split spoil spoon sport spot spread spring spy square stable
staff stage stain stair stamp stand standard star stare start startup state statement station
statistic statue status stay steady steal steam steel step stick sticker still stock stomach
stone stop storage store storm story straight strange stranger strategy stream street strength
stress stretch strict strike string strip stroke strong structure struggle student studio study
stuff stupid style subject submit subscribe subscription substance substitute succeed success
successful sudden suffer sugar suggest suggestion suicide suit suitable sum summary summer sun
super supermarket supply support supporter suppose supreme sure surface surgeon surgery surgical
surprise surround survey survive suspect suspend swallow swear sweat sweet swim swing switch
sword symbol sympathy symptom syndrome syrup system table tail talent talk tall tank tap tape
target task taste tattoo tax taxi tea teach teacher team tear technical technique technology
teen teenager teeth telephone television tell temper temperature temple temporary tempt tenant
tend tension tent term terrible terrific territory terror terrorism terrorist test testimony
text thank theater theft theme theory therapist therapy thick thief thin think third thirst
thought thousand thread threat threaten three thriller throat throw thumb thunder ticket tie
tiger tight time tiny tip tire tired tissue title toe together toilet tolerance tone tongue tool
tooth top topic total touch tour tourism tourist tournament toward towel tower town toxic toy
track trade trader tradition traditional traffic tragedy train trainer training trait transfer
transform transition translate translation transport trap travel treat treatment treaty tree
trend trial tribe trick trigger trip troll troop trouble truck true trust truth try tube tuition
tune turn tutor tutorial twelve twenty twice twin twist two type typical ugly ultimate umbrella
uncle understand uniform unify union unique unit universal universe university unknown unlock
unlike unless until update upgrade upload upset urban urge urgent use useful usual utility
vacation vaccine valid valley valuable value van vapor variable variety various vast vegan
vegetable vegetarian vehicle vein verb verify version vertical video view village violence
violent virgin virtual virus visa visible vision visit visitor visual vital vitamin vocabulary
voice volume volunteer vote voter voyage vulnerable wage waist wait wake walk wall wander war
warm warn warning wash waste water wave way weak wealth wealthy weapon wear weather web website
wedding weed week weekend weigh weight weird welcome welfare well west wet whale wheat wheel
whisper white whole wide widow wife wild will win wind window wine wing winner winter wipe wire
wireless wise wish wit witch withdraw witness wizard woman wonder wood word work worker workout
world worry worse worst worth wound wrap wrestle wrist write writer writing wrong yard yeah year
yell yellow yes yesterday yoga young youth zero zone accounting acne addictive admire algorithm
allege amendment anchor angel annotate antonym appetite aptitude archive arctic aroma array
assault astrology astronaut attribute audio audit autism automobile backup bald baldness ballot
banana banner barrier baseball basketball beast bedtime bilingual binary blanket bluetooth
bodybuilder boxer bracelet browse browser bubble buddy calculator calorie capitalism carpet
castle catalog caterpillar causal caution census cheek chess chore chronic citizenship clan
clause cleaner coding coefficient cognitive communism compile compiler complement compliment
configure congratulate consent conspiracy contagious copper copyright cosmic couch coupon coward
criminology cricket crossword cruise cryptography cursor dandruff deadline debug default defect
density deploy dessert destiny detergent diarrhea dictator dimension dinosaur discharge
dishwasher diversity dolphin donor dragon drone dystopia echo eclipse ecommerce ecosystem
elastic elbow electrode electrician eliminate embassy embryo empathy encode encrypt enroll
enzyme epic equity erase ethical exhaust extinct extrovert eyebrow facial fertile fertilizer
fiber firewall fireplace flirt fossil fragile freak freelancer freezer fridge galaxy gamer
generator genetic genre geometry germ glacier glasses goat gossip gradient graveyard gravel grid
gut halloween handwriting hardship headset heartbreak herb homosexual honey hormone horizon
hosting humanity humid hunter hybrid hydrogen hygiene hypnosis hypothesis icon idiot immortal
impulse incentive infrastructure inflammation instinct integral intern internship intercourse
inverse isotope itch jaw jeans jungle junk karma kitten lab landscape laser laundry laundering
lawsuit leaflet legislation lyric maid malware mammal mango manifesto marijuana mascara meme
metaphor microscope microwave midterm millionaire billionaire mindset minecraft missionary mold
monarchy monk mortal mosquito multiply mustache narcissist nausea neuron nitrogen node noodle
nostril noun novelist obese obesity obsession offspring olive onion optimize optimism outlet
overdose overweight ovulate pad palm panda parrot parser patent pavement peanut pedal pension
perfume periodic pessimism pest phobia pigeon plagiarism planner plasma plumber pollen
polynomial portal pothole pragmatic prank predator prefix prejudice preposition prescribe
prescription presentable primitive privilege procrastinator prodigy prototype proxy psychiatrist
psychic puberty publicity puppy purse pyramid rabbit radar rainbow rash realm recession reboot
recycle reddish redirect referendum refrigerator refugee refund reindeer reincarnation
relativity renewable reptile residue resin retailer retina ritual router royalty ruler rust
sarcasm satire sausage scarf scuba sculpture semiconductor sensor sewing shrimp sibling silicon
skeleton sleepy smartphone sociopath psychopath sodium spam spark sparrow spinach sponsor spouse
spreadsheet stall stalk stamina stereotype sticky stimulus stove strand stutter subconscious
sunlight sunset superhero superpower supplement surf surveillance suspicious swap sweater
symphony syllabus synonym syntax tablet tactic tailor takeover tan tariff telescope template
tenure terminal terrain theorem thermal thermostat thesis threshold thrive tick timeline tofu
tomato torrent torture touchscreen trailer transistor transparent trauma treadmill trek triangle
trillion trivia trophy tsunami tumor turbine turtle tweak typo unhealthy unemployment unicorn
upcoming uprising usage vacuum vagina vampire vector vendor ventilate venture verdict vessel vet
veto vibrate victim villain vinegar violin volcano voltage vomit wallet wallpaper warranty
warrior weave webcam wheelchair wig willpower wool workflow workplace worm wrinkle yacht yeast
yogurt zodiac zombie zoo come came become craziest weirdest funniest happiest strangest
anywhere somewhere everywhere nowhere wherever whenever whoever whatever
anticipated beneficial disgusting embarrassing inspirational hilarious terrifying
"""
_ORDINARY = frozenset(_WORDS.split()) | STOP | frozenset(ALIASES)
_STEMS = frozenset(map(stem, _ORDINARY))
_FORMERS = ("un", "re", "in", "dis", "over", "non", "pre", "mis", "out")
_ENDINGS = words_of(
    "ness ment ation ition ion able ible ful less ous ive ize ise ism ist ity ish ally est "
    "ier iest al ic or y ance ence ship"
)


@functools.lru_cache(maxsize=16_384)
def is_ordinary(word: str) -> bool:
    """Return whether a folded word is plain English, or a plain word with an ending or a prefix."""
    if word in _ORDINARY or stem(word) in _STEMS:
        return True
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            base = word[: -len(ending)]
            if (
                base in _ORDINARY
                or stem(base) in _STEMS
                or base + "e" in _ORDINARY
                or base[:-1] in _ORDINARY
            ):
                return True
    for former in _FORMERS:
        if (
            word.startswith(former)
            and stem(word[len(former) :]) in _STEMS
            and len(word) > len(former) + 3
        ):
            return True
    return False
