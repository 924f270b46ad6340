"""Little words of English and near synonyms: small closed lists, written by hand."""

from askonce.semantic.guards.lexicon.word_list import groups_of, words_of

ROLES = words_of(
    "from to of by into onto than for with without against over under between after before "
    "because through per on in at toward towards off about until since during"
)
"""Little words that give the next word its role."""

PRONOUNS = words_of(
    "i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his "
    "himself she her hers herself it its itself they them their theirs themselves one ones"
)

NEGATIONS = words_of(
    "not nt no never without nor neither nobody nothing none cannot cant dont doesnt didnt wont "
    "isnt arent wasnt werent shouldnt couldnt wouldnt hasnt havent hadnt mustnt aint"
)

STOP = (
    ROLES
    | PRONOUNS
    | NEGATIONS
    | words_of(
        "a an the this that these those there here is am are was were be been being do does did "
        "doing done have has had having can could will would shall should may might must cannot "
        "and or but nor so if then as while though although whether yet both either neither what "
        "which who whom whose when where why how not no nt s m re ve ll d t some any each every "
        "all such same own other another else just also very really too quite rather even still "
        "only ever never please kindly thing things stuff way ways up out down upon per via vs "
        "versus etc eg ie get gets getting got go goes going went someone somebody anyone anybody "
        "everyone everybody something anything everything people person like want wants know tell "
        "hi hello hey thanks thank gonna wanna gotta lemme gimme dunno kinda sorta"
    )
)
"""Words that rarely change the answer, unless a guard reads them."""

COORDINATORS = frozenset({"and", "or", "vs", "versus", ",", "/", "&", "nor"})

ALIASES: dict[str, str] = {
    word: group[0]
    for group in groups_of(
        """
        best good great greatest top better nice excellent amazing awesome finest suitable ideal
        perfect recommended favorite favourite favorites favourites,
        become becoming became becomes,
        big biggest large larger largest bigger huge major main primary,
        start starting begin beginning started begins began,
        make making made makes earn earning earns earned create creating created creates build
        building built develop developing developed,
        fast quick quickly faster fastest quicker rapidly quickest,
        easy easily easier easiest simple simply simplest,
        method methods approach approaches tip tips technique techniques advice trick tricks
        step steps process,
        difference differences different differ differs distinguish,
        phone phones cellphone mobile smartphone mobiles cellphones smartphones,
        television tv,
        picture pictures photo photos pic pics image images photograph photographs,
        movie movies film films,
        job jobs career careers employment,
        company companies business businesses firm firms corporation,
        buy buying purchase purchasing purchased bought,
        stop quit avoid prevent stopping avoiding quitting,
        laptop laptops notebook,
        money cash income,
        website websites site sites webpage webpages,
        college colleges university universities institute institutes,
        kid kids child children,
        baby babies infant infants,
        reason reasons cause causes caused,
        importance important significance significant,
        use used using uses usage useful utilize,
        meaning mean means meant definition define defined,
        solution solutions solve solving solved resolve fix fixing,
        increase increasing improve improving increased improved boost enhance,
        weird weirdest strange strangest odd,
        beautiful prettiest pretty hottest hot,
        scary scariest,
        happen happens happened happening,
        learn learning study studying learnt learned,
        teach teaching taught,
        think thinking thought thoughts opinion opinions view views,
        book books,
        app apps application applications,
        program programs programme programmes,
        woman women lady ladies female females,
        man men guy guys male males,
        girl girls,
        boy boys,
        mother mom mum mothers moms,
        father dad fathers dads,
        spouse partner,
        wife wives,
        husband husbands,
        car cars automobile automobiles,
        bike bikes motorcycle motorbike motorcycles bicycle bicycles,
        doctor doctors physician physicians,
        cost costs price prices priced pricing expensive,
        cheap cheapest inexpensive cheaper affordable,
        old older oldest age,
        long longer length,
        tall taller tallest height,
        heavy heavier weight weigh,
        speak speaking spoke spoken talk talking,
        marry married marriage marrying wedding,
        die died dies dying death dead,
        kill killed killing kills,
        choose choosing choice chosen chose select selecting,
        find finding found,
        lose losing lost loss loose,
        sell selling sold sale sales,
        write writing wrote written writes,
        give giving given gave,
        take taking took taken,
        see seeing saw seen watch watching,
        feel feeling felt feels feelings,
        eat eating ate eaten,
        grow growing grew grown growth,
        run running ran,
        choose pick,
        bring bringing brought,
        understand understanding understood,
        wish hope,
        ban banned prohibited prohibit forbidden,
        color colour colors colours,
        center centre,
        united-states unitedstates us usa america american americans u.s,
        united-kingdom unitedkingdom uk britain british,
        maths math mathematics,
        india indian indians,
        china chinese,
        japan japanese,
        russia russian russians,
        france french,
        germany german germans,
        pakistan pakistani pakistanis,
        computer computers pc pcs,
        euro euros eur,
        rupee rupees rs inr,
        dollar dollars usd,
        pound pounds gbp,
        question questions,
        answer answers,
        example examples instance sample samples,
        type types kind kinds sort sorts,
        country countries nation nations,
        world globe earth,
        exam exams test tests examination examinations,
        online internet web,
        current currently now present nowadays presently today,
        possible possibly,
        actual actually,
        permanent permanently,
        free freely,
        natural naturally,
        delete deleting remove removing deleted removed,
        repair repairing,
        song songs,
        travel traveling travelling trip journey,
        hate hated dislike,
        scope future,
        require required need needed needs requirement requirements,
        compare compared comparison comparing,
        similar similarities similarity,
        effect effects impact impacts affect affects influence,
        function functions role roles,
        work works working worked,
        explain explanation describe description,
        help helps helping,
        visit visiting,
        prepare preparation preparing prepared
        """
    )
    for word in group
}
"""Near synonyms, each with the word that stands for the group."""

QUANTIFIERS: dict[str, str] = {
    "all": "all", "every": "all", "everyone": "all", "everybody": "all", "each": "all",
    "always": "all", "everything": "all", "entire": "all",
    "none": "none", "nobody": "none", "nothing": "none", "never": "none",
    "most": "most", "majority": "most",
    "few": "few", "rarely": "few", "least": "least", "only": "only", "fewer": "less",
    "less": "less", "more": "more", "both": "both", "half": "half", "twice": "twice",
    "once": "once", "some": "some", "any": "any", "either": "either",
    "least-at": "at-least", "most-at": "at-most",
}  # fmt: skip
