"""Reviews: of apps at Google Play and in the App Store, of places at Google."""
