"""Words of everyday language, as far as companies take them for names: what the doctor knows of words. Our own list, not a
dictionary: that a word is missing here says nothing."""

from __future__ import annotations

from typing import Final

from services.contracts.spelling import fold

_WORDS: Final = {
    "English": """
        act agent air alley alliance allied ally alpha amber anchor angel ant apple arc arch arrow ash aspect atlas aura
        axis bakery ball balance banana band bank bar bark base basic beacon beam bear beat bed bee bell berry best
        beyond bird bit black blank blaze blend block bloom blue board boat bold bolt bond book boost boot boots boss
        bounce bow bowl box brain branch brave bread breeze brick bridge bright brook brush bubble bud bug bull burn
        bush butter button buzz cabin cable camp canal candle canvas cape capital card care carrot cart case cash castle
        cat chain chair champion chance change charm chase check cherry chest choice cider circle citizen city civil
        clay clear click cliff climb clip clock close cloud clover club coach coal coast coat code coffee coin comet
        comfort common compass concert cook copper coral core corner corn cosmos cotton country court cove cover craft
        crane cream crest crew crop cross crow crown cruise crystal cube cup curry curve dash dawn day deal dean deep
        deer delta depot desert dial diamond discover dish dive dock dollar dolphin dome door dot dove dragon dream
        drift drive drop drum duke dune dust eagle early earth ease east easy echo edge eight elite ember emerald empire
        energy engine envoy epic equal escape even ever every express eye face fair faith falcon falls family farm fast
        feather field fig fire first fish five flag flame flash fleet flex flint float flow flower fly focus force
        forest forge fork fort forum fox frame free fresh friday friend frog front frontier fun future gap garden gate
        gem general genius giant gift glass globe glow go gold good grace grain grand grape graph grass gravity great
        green grid grip grove growth guardian guess guide gulf habit hall halo hammer hand happy harbor harbour harvest
        haven hawk hazel heart heat hello help hero hill hinge hive holiday home honest honey hook hope horizon horse
        host house hub human hunt hunter ice icon ideal idea impact impulse indigo infinity insight iris iron island
        ivory ivy jaguar jet jewel job joy jump junction jungle just key kind king kite knight lab ladder lake lamp land
        lane lark laser latitude launch leaf leap legacy lemon level liberty life lift light lily lime line link lion
        list little live lobby local lock loft logic london long loop lotus love luck lucky luna lunch lynx magic magnet
        magnolia mail main mango maple march mark mars mask master match matrix maverick max maze meadow melon mercury
        merit message meta metro midnight mile milk mill mimosa mind mint mirror mission mist mobile moment monarch
        monday monkey monster moon moss moth motion mountain move must nail national native nature navigator needle nest
        network new next night nine noble node noon north nova now oak oasis ocean olive omega one onyx open opera
        optimum option oracle orange orbit orchard orchid order origin otter outback outlook owl oyster pace pacific
        page palace palm panda panther paper paradise park parrot passion patch path peach peak pear pearl pebble pen
        penguin people pepper perch petal phoenix pier pike pilgrim pilot pine pink pioneer pipe pixel plain plan planet
        plane play plaza plum plus point pole pond pool port post power prairie premier press pride prime prince
        princess prism pronto prosper pulse puma pump punch pure purple quest quick quiet quill rabbit radar radiant
        radio rail rain rainbow rally ranger raven ray reach ready real red reef regal regent regions relay reliable
        remedy republic rest ride ridge right ring rise river road robin rock rocket rose round route royal ruby rush
        safari safe saga sage sail salt salute sand sapphire saturn savage scout sea season second secret seed sense
        sequel seven shade shadow shape share shark sharp shell shelter shield shift shine ship shop shore shot signal
        silk silver simple simply six sky slack slate sleep slice slide smart smile smoke snap snow social soda solar
        solid solo sonic soul sound source south spa space spark speed spice spike spin spirit splash sport spot
        spotlight spring sprint sprout spruce square squirrel stable staples star start state station steam steel step
        sterling stone storm story stream street stride stripe strong studio style subway sugar summit sun sunday
        sunrise sunset super supreme surf surge swan sweet swift switch table tag tailor talent tangerine target taxi
        tea team temple ten terra thistle thread three thrive thunder tide tiger timber time tinder titan toast together
        token tomorrow tonic top torch total touch tower town track trade trail train travel treasure tree trek trend
        tribe triumph trophy true trust tulip tune turbo turtle twelve twin twist two ultimate umbrella under union unit
        united unity universal up upper urban valley value vanguard vault velvet venture venus verge via vice victory
        view village vine vintage violet virgin vision visa vista vital vivid voice volt voyage wagon walk wall warm
        watch water wave way web wendy west whale wheel whisper white wild willow win wind window wine wing wings winter
        wire wise wish wolf wonder wood word work world wow wrap yellow yes yield young zebra zen zenith zero zest zip
        zone zoom
    """,
    "German": """
        adler alles anker apfel auge bahn bär baum berg bild blatt blitz blume boden brot brücke burg dach dorf drei
        eiche eins engel erde ernte falke feder feld fenster feuer fisch flamme fluss frei freude freund frisch frühling
        fuchs garten glas glück gold grün gut hafen haus heimat herz himmel hirsch hof honig insel jäger kaiser kern
        kirsche klar kleeblatt könig kraft kranz krone küche land leben leicht licht liebe linde löwe luft markt meer
        mond morgen mühle mut nacht neu nest netz netto nord oase perle quelle rad regen ring ritter rose ruhe salz sand
        schatz schiff schloss schnell see sonne spiegel stadt stark stein stern storch sturm süd tag tanne taube traum
        treue turm ufer vogel wald wasser weg welle welt wiese wind wolf wolke wunder zeit ziel zucker zukunft
    """,
    "French": """
        abeille aigle air amour ange arbre arc aube avenir beau bien blanc bleu bois bon bonheur bougie bouquet canal
        carré carrefour cercle champ château chance chemin chien ciel citron clair clé coeur colombe couleur croix
        demain doux eau éclair école élan encre énergie espoir étoile fable fête feu fleur fleuve forêt frais franc gare
        grain grand havre herbe histoire horizon île jardin joie jour libre lion livre loup lumière lune main maison
        marché mer miel minuit miroir monde montagne neige nord nuage nuit ombre or orage orange palais pain papillon
        perle petit phare pierre plage plume poire poisson pomme pont porte printemps prince reine renard rivière roi
        rose route sable sel soir soleil source sucre sud temps terre tigre toit tour trésor vague vent verre vert vie
        village ville voile voix vrai
    """,
    "Spanish, Portuguese or Italian": """
        abeja agua águila alba alma alto amigo amor ángel árbol arena azul barco bella blanco bosque brisa bueno caballo
        calle camino campo canto casa castillo cielo ciudad claro corazón corona costa cruz delfín día dulce estrella
        faro feliz fiesta flor fuego fuente gato grande gota huerto isla jardín joven lago león libre libro limón llama
        lluvia lobo luna luz madera mañana manzana mar mariposa mesa miel mil mundo naranja nieve noche norte nube nuevo
        oro otoño pan paz perla piedra plata playa plaza primavera puente puerto rayo reina rey río roca rojo rosa sal
        santo siempre sol sueño sur tesoro tiempo tierra tigre todo torre valle vela verano verde vida viento vivo agora
        amarelo areia bem bom céu chuva coração estrela feira floresta fogo folha ilha irmão lar livro lua luar maçã
        manhã mel noite novo nuvem oi onda ouro pão pedra ponte porto praia raio rio sul tempo terra tudo verão vento
        acqua amico ancora anima aria arco bene bosco città cuore eni erba fiore fiume foglia fuoco gatto giardino gioia
        giorno isola latte luce lupo mare mela mondo neve notte nuvola pane pietra porta sale sera sole stella strada
        tre uva vita volo wind
    """,
    "Dutch": """
        appel berg bloem boom brug dag duif eik goud groen hart huis jumbo kroon land licht maan markt molen morgen
        nacht noord oranje paard plein regen ster stad strand tijd vis vogel vrij vuur water weg wereld wind wolf zon
        zee zuid
    """,
    "Indonesian or Malay": """
        air angin api bintang biru bulan bunga bumi cahaya cinta emas garuda gunung hati hijau hujan indah jalan jaya
        kapal kopi langit laut lima madu maju matahari merah merdeka mutiara nusantara pagi pasar pelangi prima pulau
        raja rasa rumah sahabat satu sejahtera sinar singa surya tani teh tiga
    """,
}
_LANGUAGE: Final = {fold(word): language for language, words in reversed(_WORDS.items()) for word in words.split()}


def language_of_word(name: str) -> str | None:
    """The language in which the name is an everyday word; `None` if it is not known as one."""
    return _LANGUAGE.get(fold(name))
