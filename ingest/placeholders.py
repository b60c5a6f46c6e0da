"""What networks leave where a text was removed: it looks like a text, and nobody wrote it. Pure.

Only a text that is nothing else counts, and only where nobody but its author or the network is named as the one who removed
it: "this post was deleted by Acme" is a complaint.
"""

# ruff: noqa: RUF001 - letters that look like others are what networks write

from __future__ import annotations

import re
from typing import Final

from services.contracts.spelling import fold

LONGEST: Final = 200
"""No placeholder has more characters."""

_THING = (
    r"(?:tweet|x post|post|toot|thread|reply|comment|message|content|story|status|video|reel|photo|image|media|media file|page"
    r"|attachment|submission|review)"
)
_NOT_HERE = (
    r"(?:(?:was|has been|is|'s been|were) (?:deleted|removed|withheld|hidden|unavailable|private)"
    r"|(?:is not|isn't|is no longer) (?:available|here|visible)(?: anymore)?"
    r"|(?:no longer|doesn't|does not) exists?(?: anymore)?|unavailable|deleted|removed"
    r"|not found|violated the (?:x|twitter) rules|(?:is|was) from (?:a suspended account|an account that no longer exists))"
)
_BY = (
    r"(?: by (?:(?:the|its|a|this)? ?(?:(?:tweet|post|original) )?(?:author|poster|user|owner|creator|moderators?|admins?)"
    r"|the person who originally posted it|reddit|twitter|x|facebook|instagram|youtube|a moderator of this group))?"
)
_WHEN = r"(?: (?:right now|at the moment|at this time|in your country|in your region))?"

_SENTENCES: Final = (
    # Reddit, Lemmy, forums: what stands in brackets, alone.
    (
        r"\[ ?(?:deleted|removed|unavailable|redacted|deleted by (?:user|author|moderator)|removed by (?:reddit|"
        r"moderator|user)|private video|deleted video|message deleted|comment deleted|comment removed|gelöscht|"
        r"entfernt|supprimé|eliminado|excluído|removido|eliminato|rimosso|verwijderd|удалено|削除済み|삭제됨|"
        r"已删除|已刪除) ?\]"
    ),
    r"\[ ?removed by reddit on account of violating the .{1,60}\]",
    rf"(?:sorry, )?(?:this|the|that) {_THING} {_NOT_HERE}{_BY}{_WHEN}",
    rf"{_THING} (?:is )?(?:unavailable|deleted|removed|not found){_BY}{_WHEN}",
    (
        r"you're unable to view this (?:post|tweet) because (?:this|the) account owner limits who can view their "
        r"(?:posts|tweets)"
    ),
    (
        r"(?:dieser|diese|dieses) (?:tweet|post|beitrag|inhalt|kommentar|video|nachricht|antwort|toot) (?:ist "
        r"(?:derzeit |leider )?(?:nicht(?: mehr)? verfügbar|gelöscht)|wurde (?:(?:von|vom) (?:seinem |dem |der |"
        r"ihrem )?(?:verfasser|autor|autorin|nutzer|moderator) )?(?:gelöscht|entfernt)|existiert nicht mehr)"
    ),
    r"(?:beitrag|kommentar|nachricht) (?:gelöscht|entfernt|nicht verfügbar)",
    (
        r"(?:ce|cet|cette) (?:tweet|post|message|contenu|commentaire|publication|vidéo|pouet) (?:n'est (?:pas|"
        r"plus) disponible(?: (?:pour le|en ce) moment)?|est indisponible|a été supprimée?(?: par (?:son auteur|"
        r"l'auteur|l'utilisateur|un modérateur))?|n'existe plus)"
    ),
    (
        r"(?:este|esta) (?:tweet|post|publicación|comentario|contenido|mensaje|vídeo|video) (?:(?:ya )?no está "
        r"disponible(?: en este momento)?|(?:fue|ha sido) (?:eliminad|borrad)[oa](?: por (?:su autor|el autor|el "
        r"usuario|un moderador))?|ya no existe)"
    ),
    (
        r"(?:este|esta) (?:tweet|post|publicação|comentário|conteúdo|mensagem|vídeo) (?:(?:já )?não está (?:mais "
        r")?disponível(?: no momento)?|foi (?:excluíd|removid|apagad)[oa](?: (?:pelo|por seu) (?:autor|usuário|"
        r"moderador))?|não existe mais)"
    ),
    (
        r"(?:questo|questa) (?:tweet|post|commento|contenuto|messaggio|video) (?:non è (?:più )?disponibile(?: al "
        r"momento)?|è stat[oa] (?:eliminat|rimoss|cancellat)[oa](?: (?:dall'autore|dal suo autore|dall'utente|da "
        r"un moderatore))?|non esiste più)"
    ),
    (
        r"(?:deze|dit) (?:tweet|post|bericht|reactie|video|inhoud) (?:is (?:niet (?:meer )?|momenteel niet "
        r")beschikbaar|(?:is|werd) (?:door de (?:auteur|gebruiker|moderator) )?verwijderd(?: door de (?:auteur|"
        r"gebruiker|moderator))?|bestaat niet meer)"
    ),
    (
        r"(?:ten|ta|to) (?:tweet|post|wpis|komentarz|treść|wiadomość|film) (?:jest niedostępn[yae]|nie jest już "
        r"dostępn[yae]|został[ao]? usunięt[yae](?: przez (?:autora|użytkownika|moderatora))?)"
    ),
    (
        r"bu (?:tweet|gönderi|yorum|içerik|mesaj|video) (?:kullanılamıyor|mevcut değil|artık mevcut değil|silindi|"
        r"silinmiş|kaldırıldı|(?:yazarı|sahibi) tarafından silindi)"
    ),
    (
        r"(?:tweet|postingan|post|komentar|konten|pesan|video) ini (?:tidak (?:lagi )?tersedia|(?:telah|sudah) "
        r"dihapus(?: oleh (?:pembuatnya|penulisnya|pengguna))?)"
    ),
    r"(?:kiriman|hantaran|siaran|tweet|komen) ini (?:tidak (?:lagi )?tersedia|telah dipadam(?:kan)?)",
    (
        r"(?:этот|эта|это) (?:твит|пост|запись|комментарий|сообщение|видео) (?:(?:больше )?недоступ(?:ен|на|но)|"
        r"был[ао]? удал[её]н[ао]?(?: (?:автором|пользователем|модератором))?|удал[её]н[ао]?(?: автором)?)"
    ),
    r"(?:запись|сообщение|комментарий|пост|твит) удал[её]н[ао]?(?: (?:автором|пользователем|модератором))?",
    (
        r"(?:この|こちらの)(?:ツイート|ポスト|投稿|コメント|コンテンツ|動画)は、?(?:表示できません|"
        r"ご?利用いただけません|存在しません|(?:(?:ツイート主|ポスト主|投稿者|作成者|ユーザー)(?:により|"
        r"によって))?削除され(?:ました|ています))"
    ),
    (
        r"(?:이|해당) ?(?:트윗|게시물|게시글|댓글|콘텐츠|영상)(?:은|는|을|를) ?(?:볼 수 없습니다|사용할 수 "
        r"없습니다|(?:작성자에 의해 )?삭제되었습니다)"
    ),
    r"삭제된 (?:트윗|게시물|게시글|댓글|메시지)입니다",
    (
        r"(?:抱歉, ?|抱歉,? ?)?(?:此|该|該|这条|這條|这个|這個|本)(?:微博|帖子|帖|推文|贴文|貼文|评论|評論|留言|"
        r"内容|內容|视频|影片|文章)(?:已|已经|已經)?(?:被|由)?(?:作者|发布者|發布者|用户|用戶|管理员|"
        r"管理員)?(?:删除|刪除|移除|不可见|无法查看|無法查看|不可用|不存在)"
    ),
    (
        r"(?:هذا|هذه) (?:المنشور|التغريدة|المحتوى|التعليق|الفيديو) (?:غير متاحة?(?: حاليا)?|لم (?:يعد|تعد) متاحة?|"
        r"تم (?:حذفه|حذفها))"
    ),
    r"تم حذف (?:هذا|هذه) (?:المنشور|التغريدة|التعليق|المحتوى)(?: من قبل (?:صاحبه|صاحبها|المؤلف|الكاتب))?",
    (
        r"(?:यह|ये) (?:पोस्ट|ट्वीट|टिप्पणी|वीडियो|सामग्री) (?:उपलब्ध नहीं है|(?:अब )?उपलब्ध नहीं|हटा (?:दी|दिया) (?:गई|"
        r"गया)(?: है)?)"
    ),
    (
        r"(?:bài viết|bài đăng|tweet|nội dung|bình luận|video) này (?:không (?:còn )?(?:khả dụng|tồn tại)|đã bị "
        r"xóa)(?: bởi tác giả)?"
    ),
    r"(?:โพสต์|ทวีต|ความคิดเห็น|เนื้อหา)นี้(?:ไม่พร้อมใช้งาน|ไม่สามารถใช้ได้|ถูกลบ(?:แล้ว|โดยผู้เขียน)?)",
)
_PLACEHOLDER: Final = re.compile(rf"(?:{'|'.join(fold(sentence) for sentence in _SENTENCES)})")
_MORE: Final = re.compile(
    r"[\s.!。…]+(?:learn more|mehr erfahren|en savoir plus|más información|saiba mais|詳細はこちら)$"
)
_QUOTED: Final = " \t\n.!。…\"'“”«»*_()"


def is_placeholder(text: str) -> bool:
    """Returns True if the text is what a network shows instead of one that was removed."""
    if len(text) > LONGEST:
        return False
    plain = _MORE.sub("", fold(text).rstrip(_QUOTED)).strip(_QUOTED)
    return _PLACEHOLDER.fullmatch(plain) is not None
