// @ts-check
/** Everything the panel says, by language. Another language is one more entry in `LANGUAGES`. */

const EN = {
  chat: "Chat",
  close: "Close chat",
  log: "Conversation",
  label: "Message",
  placeholder: "Write a message…",
  send: "Send",
  you: "You",
  shop: "Shop",
  typing: "{name} is typing…",
  sending: "Sending",
  sent: "Sent",
  delivered: "Delivered",
  read: "Seen",
  failed: "Not sent",
  malformed: "The shop could not accept this text.",
  too_long: "This text is too long.",
  refused: "The shop did not accept it.",
  try_again: "Try again",
  remove: "Remove",
  deleted: "Message deleted",
  edited: "edited",
  unsupported: "This message cannot be shown here.",
  newer: "New messages",
  left: "{count} characters left",
  over: "{count} characters too many",
  connecting: "Connecting…",
  offline: "You are offline. Messages will be sent later.",
  unavailable: "The chat is not available.",
  outdated: "The chat has been updated. Please reload the page.",
  reload: "Reload",
};

/** @typedef {typeof EN} Texts */

/** @type {Texts} */
const RU = {
  chat: "Чат",
  close: "Закрыть чат",
  log: "Переписка",
  label: "Сообщение",
  placeholder: "Напишите сообщение…",
  send: "Отправить",
  you: "Вы",
  shop: "Магазин",
  typing: "{name} печатает…",
  sending: "Отправляется",
  sent: "Отправлено",
  delivered: "Доставлено",
  read: "Просмотрено",
  failed: "Не отправлено",
  malformed: "Магазин не смог принять этот текст.",
  too_long: "Текст слишком длинный.",
  refused: "Магазин не принял сообщение.",
  try_again: "Повторить",
  remove: "Убрать",
  deleted: "Сообщение удалено",
  edited: "изменено",
  unsupported: "Это сообщение нельзя показать здесь.",
  newer: "Новые сообщения",
  left: "Осталось символов: {count}",
  over: "Лишних символов: {count}",
  connecting: "Соединяемся…",
  offline: "Нет сети. Сообщения будут отправлены позже.",
  unavailable: "Чат недоступен.",
  outdated: "Чат обновился. Пожалуйста, перезагрузите страницу.",
  reload: "Перезагрузить",
};

/** @type {Texts} */
const HR = {
  chat: "Razgovor",
  close: "Zatvori razgovor",
  log: "Poruke",
  label: "Poruka",
  placeholder: "Napišite poruku…",
  send: "Pošalji",
  you: "Vi",
  shop: "Trgovina",
  typing: "{name} piše…",
  sending: "Šalje se",
  sent: "Poslano",
  delivered: "Dostavljeno",
  read: "Viđeno",
  failed: "Nije poslano",
  malformed: "Trgovina nije mogla prihvatiti ovaj tekst.",
  too_long: "Tekst je predugačak.",
  refused: "Trgovina nije prihvatila poruku.",
  try_again: "Pokušaj ponovno",
  remove: "Ukloni",
  deleted: "Poruka je izbrisana",
  edited: "uređeno",
  unsupported: "Ova se poruka ovdje ne može prikazati.",
  newer: "Nove poruke",
  left: "Preostalo znakova: {count}",
  over: "Znakova previše: {count}",
  connecting: "Povezivanje…",
  offline: "Niste na mreži. Poruke će se poslati kasnije.",
  unavailable: "Razgovor nije dostupan.",
  outdated: "Razgovor je ažuriran. Ponovno učitajte stranicu.",
  reload: "Ponovno učitaj",
};

/** @type {Record<string, Texts>} */
const LANGUAGES = { en: EN, ru: RU, hr: HR };

/**
 * Return the texts, and the locale for dates and times that goes with them: the visitor's own where we speak it.
 * @param {string} wanted  BCP 47, e.g. `hr-HR`; from outside, so perhaps not even that
 * @returns {{ locale: string, texts: Texts }}
 */
export function choose_texts(wanted) {
  const language = wanted.split("-", 1)[0]?.toLowerCase() ?? "";
  const texts = Object.hasOwn(LANGUAGES, language) ? LANGUAGES[language] : undefined;
  if (texts === undefined) return { locale: "en", texts: EN };
  try {
    return { locale: Intl.getCanonicalLocales(wanted)[0] ?? language, texts };
  } catch {
    return { locale: language, texts };
  }
}

/**
 * @param {string} template
 * @param {Record<string, string | number>} values
 */
export function fill(template, values) {
  return template.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}
