"""Months, weekdays and near days, in the languages in which the guards read dates."""

from askonce.semantic.guards.lexicon.word_list import groups_of, words_of

MONTHS: dict[str, int] = {
    word: number
    for number, group in enumerate(
        groups_of(
            """
            january jan janvier januar enero gennaio januari janeiro января styczeń stycznia ocak,
            february feb février fevrier februar febrero febbraio februari fevereiro февраля
            luty lutego şubat,
            march mar mars märz marzo maart março марта marzec marca mart,
            april apr avril abril aprile апреля kwiecień kwietnia nisan,
            may mai mayo maggio mei maio мая maj maja mayıs,
            june jun juin juni junio giugno junho июня czerwiec czerwca haziran,
            july jul juillet juli julio luglio julho июля lipiec lipca temmuz,
            august aug août aout agosto augustus августа sierpień sierpnia ağustos,
            september sep sept septembre septiembre settembre setembro сентября wrzesień
            września eylül,
            october oct octobre oktober octubre ottobre outubro октября październik października
            ekim,
            november nov novembre noviembre novembro ноября listopad listopada kasım,
            december dec décembre decembre dezember diciembre dicembre dezembro декабря grudzień
            grudnia aralık
            """
        ),
        1,
    )
    for word in group
}

MAYBE_MONTHS = words_of("may mar march jan sep dec mai mars mart jun jul maja nov oct")
"""Month names that are also words or names: months only beside a number or after "in"."""

WEEKDAYS: dict[str, int] = {
    word: number
    for number, group in enumerate(
        groups_of(
            """
            monday mondays montag lundi lunes lunedì maandag понедельник,
            tuesday tuesdays dienstag mardi martes martedì dinsdag вторник,
            wednesday wednesdays mittwoch mercredi miércoles mercoledì woensdag среда,
            thursday thursdays donnerstag jeudi jueves giovedì donderdag четверг,
            friday fridays freitag vendredi viernes venerdì vrijdag пятница,
            saturday saturdays samstag samedi sábado sabato zaterdag суббота,
            sunday sundays sonntag dimanche domingo domenica zondag воскресенье
            """
        ),
        1,
    )
    for word in group
}

NEAR_DAYS: dict[str, str] = {
    word: line.split()[0]
    for line in """
        yesterday gestern hier ayer ieri gisteren вчера 昨天 昨日
        today tonight heute aujourdhui hoy oggi vandaag сегодня 今天 今日
        tomorrow morgen demain mañana domani завтра 明天 明日
        """.strip().splitlines()
    for word in line.split()
}

PACES: dict[str, str] = {
    word: line.split()[0]
    for line in """
        hour hourly
        day daily
        night nightly
        week weekly
        month monthly
        quarter quarterly
        year yearly annual annually
        """.strip().splitlines()
    for word in line.split()[1:]
}

SPANS = words_of(
    "hour day night morning evening week weekend month year quarter semester summer winter spring "
    "fall season decade century"
)
