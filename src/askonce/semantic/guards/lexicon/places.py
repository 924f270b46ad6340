"""Places and peoples, for texts without capitals."""

from askonce.semantic.guards.lexicon.word_list import words_of

PLACES = words_of("""
    afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan
    bahamas bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia
    botswana brazil brunei bulgaria burundi cambodia cameroon canada chad chile china colombia
    congo croatia cuba cyprus denmark djibouti dominica ecuador egypt eritrea estonia ethiopia
    fiji finland france gabon gambia georgia germany ghana greece grenada guatemala guinea
    guyana haiti honduras hungary iceland india indonesia iran iraq ireland israel italy jamaica
    japan jordan kazakhstan kenya kosovo kuwait kyrgyzstan laos latvia lebanon lesotho liberia
    libya liechtenstein lithuania luxembourg macedonia madagascar malawi malaysia maldives mali
    malta mauritania mauritius mexico moldova monaco mongolia montenegro morocco mozambique
    myanmar namibia nepal netherlands nicaragua niger nigeria norway oman pakistan palestine
    panama paraguay peru philippines poland portugal qatar romania russia rwanda samoa senegal
    serbia singapore slovakia slovenia somalia spain sudan suriname swaziland sweden switzerland
    syria taiwan tajikistan tanzania thailand togo tonga tunisia turkey turkmenistan uganda
    ukraine uruguay uzbekistan vanuatu venezuela vietnam yemen zambia zimbabwe england scotland
    wales britain europe asia africa america antarctica alabama alaska arizona arkansas
    california colorado connecticut delaware florida hawaii idaho illinois indiana iowa kansas
    kentucky louisiana maine maryland massachusetts michigan minnesota mississippi missouri
    montana nebraska nevada ohio oklahoma oregon pennsylvania tennessee texas utah vermont
    virginia washington wisconsin wyoming ontario quebec alberta manitoba tokyo osaka kyoto
    beijing shanghai shenzhen guangzhou seoul busan delhi mumbai bangalore bengaluru chennai
    hyderabad kolkata pune ahmedabad jaipur lucknow kochi goa kerala punjab gujarat maharashtra
    rajasthan bihar karnataka telangana kashmir karachi lahore islamabad dhaka colombo kathmandu
    bangkok hanoi manila jakarta sydney melbourne brisbane perth adelaide auckland wellington
    london manchester birmingham liverpool leeds glasgow edinburgh dublin belfast cardiff paris
    lyon marseille berlin munich hamburg frankfurt cologne stuttgart vienna zurich geneva basel
    brussels antwerp amsterdam rotterdam madrid barcelona valencia seville lisbon porto rome
    milan naples turin venice florence athens istanbul ankara moscow petersburg kiev kyiv warsaw
    krakow prague budapest bucharest sofia belgrade zagreb stockholm oslo copenhagen helsinki
    cairo lagos nairobi johannesburg casablanca dubai doha riyadh jeddah tehran baghdad damascus
    jerusalem toronto montreal vancouver calgary ottawa edmonton winnipeg york brooklyn
    manhattan boston chicago philadelphia baltimore atlanta miami orlando tampa dallas houston
    austin denver phoenix seattle portland sacramento oakland detroit cleveland cincinnati
    columbus pittsburgh minneapolis milwaukee nashville memphis charlotte vegas honolulu havana
    bogota lima quito santiago brasilia caracas
    """)

PEOPLES = {
    people: place
    for line in """
    american america
    british britain
    english england
    french france
    german germany
    italian italy
    spanish spain
    spaniard spain
    portuguese portugal
    dutch netherlands
    holland netherlands
    swiss switzerland
    swede sweden
    swedish sweden
    dane denmark
    danish denmark
    finnish finland
    polish poland
    pole poland
    czech czechia
    greek greece
    turkish turkey
    turk turkey
    russian russia
    ukrainian ukraine
    chinese china
    japanese japan
    korean korea
    indian india
    pakistani pakistan
    bangladeshi bangladesh
    nepali nepal
    nepalese nepal
    thai thailand
    vietnamese vietnam
    filipino philippines
    indonesian indonesia
    malaysian malaysia
    australian australia
    canadian canada
    mexican mexico
    brazilian brazil
    argentinian argentina
    egyptian egypt
    israeli israel
    iraqi iraq
    iranian iran
    persian iran
    saudi arabia
    irish ireland
    scottish scotland
    welsh wales
    african africa
    european europe
    asian asia
    """.strip().splitlines()
    for people, place in [line.split()]
}
"""The name of a people or its language, with the place that it comes from."""
