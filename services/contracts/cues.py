"""What shows that a word which is also a company's name means the company: above all, words that people use about companies.
Pure.

Every word is searched in its folded form (`spelling.fold`). A star stands for any ending.
"""

# ruff: noqa: RUF001 - letters that look like others are what people write

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from services.contracts.spelling import fold

NEAR_CHARS: Final = 60
"""How far from the name a cue may stand, on either side: about ten words."""


class Cue(StrEnum):
    """Why a name that is also a word was taken for the brand, the surest first."""

    CONVERSATION = "the post is about the brand for another reason"
    HANDLE = "the brand's handle is in the text"
    HASHTAG = "a hashtag of the brand is in the text"
    NAME = "another name of the brand is in the text"
    PRODUCT = "a product of the brand is named near it"
    COMPANY = "a word for what companies do stands near it"
    CAPITAL = "it is written with a capital within a sentence"


_WORDS: Final = (
    # English
    "customer*, helpdesk, helpline, hotline, call centre, call center"
    ", live chat, chatbot, my order, your order, the order, this order"
    ", our order, an order, order number, orders, ordered from"
    ", ordered online, delivery, deliveries, delivered, delivery driver, app"
    ", apps, store, stores, instore, outlet, flight, flights"
    ", airline*, account, accounts, refund*, reimburse*, website, webshop, log in"
    ", login, logged in, password, subscription*, unsubscribe*, warranty, invoice*, billed, billing, overcharged, charged me"
    ", charged twice, checkout, voucher*, gift card*, loyalty, staff"
    ", employee*, ceo, shareholder*, stock price, share price, outage*"
    ", broadband, wifi, data plan, sim, roaming, tariff, parcel*"
    ", courier, branch, boarding, check-in, luggage, baggage, booking*"
    ", reservation*, firmware, software, headquarters, company"
    ", brand, rebrand*, data breach, franchise, promo code, discount code"
    # German
    ", kundenservice, kundendienst, kundenbetreuung, bestellung*, bestellt"
    ", lieferung*, geliefert, lieferdienst, paket, pakete"
    ", erstattung*, rückerstattung*, konto, filiale*, flug"
    ", flüge, fluggesellschaft*, rechnung*, vertrag, kündigung*, mitarbeiter*"
    ", kunde, kunden, onlineshop, passwort, abo, garantie"
    ", umtausch, reklamation*, gutschein*, gepäck, störung*, firma, konzern"
    # French
    ", service client, sav, commande, commandes, livraison*, livreur*, colis, remboursement*, rembourse*, mon compte, appli"
    ", application, magasin*, boutique*, compagnie*, facture*"
    ", forfait*, abonnement*, client*, conseiller*, mot de passe, bagage*"
    # Spanish and Portuguese
    ", atención al cliente, servicio al cliente, pedido*, envío*, entrega*"
    ", reembolso*, devolución, mi cuenta, aplicación, tienda*"
    ", vuelo*, aerolínea*, factura*, contrato*, suscripción, cliente*, garantía, equipaje, sucursal*, empresa*, atendimento"
    ", minha conta, aplicativo*, loja, lojas, voo, voos, companhia aérea, fatura*, assinatura*, garantia, bagagem, encomenda*"
    # Italian, Dutch, Polish, Turkish
    ", servizio clienti, assistenza, ordine, ordini, consegna*, rimborso*, negozio, negozi, volo, voli, fattura*, contratto"
    ", abbonamento*, clienti, garanzia, bagaglio, azienda"
    ", klantenservice, bestelling*, bezorg*, levering*, pakket*, terugbetal*"
    ", winkel*, vlucht*, factuur, klant, klanten, bedrijf, zamówieni*"
    ", dostaw*, przesyłk*, paczk*, zwrot*, aplikacj*, sklep*, faktur*"
    ", umow*, klient*, gwarancj*, bagaż*, müşteri*, sipariş*, kargo*"
    ", teslimat*, iade*, uygulama*, mağaza*, uçuş*, fatura*, abonelik*"
    ", garanti*, bagaj*, şirket*"
    # Indonesian, Malay, Vietnamese
    ", pelanggan, pesanan, pengiriman, penghantaran, akun, akaun"
    ", aplikasi, toko, kedai, penerbangan, maskapai, tagihan, garansi"
    ", bagasi, perusahaan, syarikat, khách hàng, đơn hàng, giao hàng, hoàn tiền, tài khoản, ứng dụng, cửa hàng, chuyến bay"
    # Russian, Arabic, Hindi
    ", поддержк*, заказ*, доставк*, возврат*, посылк*, аккаунт*, приложени*, магазин*, рейс*, авиакомпани*, тариф*, договор*"
    ", клиент*, гаранти*, багаж*, подписк*, компани*, خدمة العملاء, العملاء"
    ", طلبي, الطلب, التوصيل, استرداد, حسابي, التطبيق, المتجر"
    ", الرحلة, شركة, الشركة, الفاتورة, الاشتراك, ग्राहक, ऑर्डर, डिलीवरी, रिफंड, खाता, ऐप, स्टोर, फ्लाइट, कंपनी"
)
_UNSPACED_WORDS: Final = (
    "カスタマー,サポート,注文,配送,返金,アカウント,アプリ,店舗,店員,フライト,航空,会員"
    ",契約,請求,保証,窓口,公式,고객,주문,배송,환불,계정,매장,항공,결제"
    ",요금제,客服,订单,訂單,下单,快递,快遞,发货,發貨,退款,账号,帐号,帳號"
    ",门店,門市,航班,公司,售后,售後,会员,會員,官网,官網,ลูกค้า,ออเดอร์,คำสั่งซื้อ,จัดส่ง"
    ",คืนเงิน,บัญชี,แอป,สาขา,เที่ยวบิน,สายการบิน,บริษัท,พนักงาน"
)


def _as_pattern(word: str) -> str:
    return re.escape(fold(word.removesuffix("*"))) + (r"\w{0,12}" if word.endswith("*") else "")


_COMPANY: Final = re.compile(
    rf"(?<!\w)(?:{'|'.join(_as_pattern(word.strip()) for word in _WORDS.split(','))})(?!\w)"
    rf"|{'|'.join(fold(word) for word in _UNSPACED_WORDS.split(','))}"
)


class CuePlaces:
    """Where cues stand in a folded text, to be asked about many names."""

    def __init__(self, places: Sequence[tuple[int, int]]) -> None:
        ordered = sorted(places)
        self._starts = [start for start, _ in ordered]
        self._ends = sorted(end for _, end in ordered)

    def near(self, start: int, end: int) -> bool:
        """Returns True if a cue stands near `start` to `end`, and not within."""
        after = bisect_left(self._starts, end)
        before = bisect_right(self._ends, start) - 1
        return (after < len(self._starts) and self._starts[after] - end <= NEAR_CHARS) or (
            before >= 0 and start - self._ends[before] <= NEAR_CHARS
        )


_WORD: Final = re.compile(r"[^\W\d_][\w'’]*")
_MOST_CAPITALS: Final = 0.25
"""In headlines, and in German, where all nouns have them, capitals say nothing."""


def capitals_say_something(text: str) -> bool:
    """Returns True if most words of the text begin with small letters, so that one that does not is somebody's name."""
    words = [match[0] for match in _WORD.finditer(text)]
    return sum(word[0].isupper() for word in words) <= max(2, _MOST_CAPITALS * len(words))


def is_capital_within(text: str, start: int, end: int) -> bool:
    """Returns True if the word at `start` to `end` has a capital, and its neighbours in the sentence have none."""
    word = text[start:end]
    before = text[max(0, start - NEAR_CHARS) : start].split()
    after = text[end : end + NEAR_CHARS].lstrip(" ")[:1]
    return (
        word[0].isupper()
        and not word.isupper()
        and bool(before)
        and before[-1][0].isalpha()
        and before[-1][0].islower()
        and before[-1][-1] not in ".!?:;"
        and not after.isupper()
    )


def company_words(folded: str) -> CuePlaces:
    """The words that people use about companies."""
    return CuePlaces([match.span() for match in _COMPANY.finditer(folded)])
