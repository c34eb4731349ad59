"""Which autonomous systems rent out servers?

The large clouds and hosting companies by the number that each announces its servers under, as its
own documentation or registry entry (whois, PeeringDB) names it. A short list of the largest: others
belong into a list of the shop's own (`GeoTable.open`, `hosting_path`).
Left out on purpose, as people browse through them: Cloudflare (13335: WARP, Private Relay), the
delivery networks of Akamai and Fastly (20940, 54113: Private Relay), Google's own (15169: its VPN).
"""

from __future__ import annotations

HOSTING_ASNS: frozenset[int] = frozenset(
    (
        16509, 14618, 8987,  # Amazon
        396982,  # Google Cloud
        8075,  # Microsoft Azure
        31898,  # Oracle Cloud
        36351,  # IBM Cloud
        14061,  # DigitalOcean
        16276,  # OVH
        24940, 213230,  # Hetzner
        63949,  # Akamai Connected Cloud (Linode)
        20473,  # Vultr
        12876,  # Scaleway
        45102, 37963, 134963,  # Alibaba Cloud
        45090, 132203,  # Tencent Cloud
        136907, 55990,  # Huawei Cloud
        38365,  # Baidu Cloud
        137718,  # Volcano Engine
        135377, 59077,  # UCloud
        59019,  # Kingsoft Cloud
        51167, 40021, 141995,  # Contabo
        60781, 28753, 30633, 7203, 394380, 395954, 59253, 133752,  # Leaseweb
        27357, 33070,  # Rackspace
        47583,  # Hostinger
        26496,  # GoDaddy
        8560,  # IONOS
        9009,  # M247
        60068, 212238,  # DataCamp (CDN77)
        199524,  # G-Core
        21859,  # Zenlayer
        29802, 61317,  # Hivelocity
        40676,  # Psychz
        36352, 54290,  # HostPapa (ColoCrossing)
        36007,  # Kamatera
        202053,  # UpCloud
        31034,  # Aruba
        197540,  # netcup
        49505,  # Selectel
        200350,  # Yandex Cloud
        9123,  # Timeweb
        53667,  # FranTech (BuyVM)
        25820,  # IT7 (BandwagonHost)
        62240,  # Clouvider
        35916,  # Multacom
        29066,  # velia.net
        58061,  # Scalaxy
        49981,  # WorldStream
        136787,  # PacketHub
        40065,  # CNServers
        46475,  # Limestone Networks
        23470,  # ReliableSite
        55286,  # B2 Net Solutions (ServerMania)
        22612,  # Namecheap
        46562,  # Performive
        50673,  # Serverius
        9312,  # xTom
    )
)  # fmt: skip
