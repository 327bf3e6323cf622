import { brotliDecompressSync } from 'node:zlib'

/**
 * Small real images, whole, and what `qemu-img info` (7.2) and `file --mime-type` (5.44) say about them: made with
 * `qemu-img create` and `qemu-img convert`; the ISO image is a volume descriptor and a partition table written by
 * hand, and one qcow2 had its corrupt bit set.
 * The descriptor of three extents goes without the `cluster_size` that qemu-img finds in those files, and
 * `disk size` is the file's size (see `BlobInfo`).
 */
const vectors = [
  {
    title: 'qcow2, version 3',
    brotli:
      'XwcAA2R44LvWn3i+gAO8AnFRdBxp0XagWLY8lwgjei+r8yLvkhHsfGA4wAkPh9NtKqiXh6/HcFRP0eHPmt4fCQBQQQYggAQIIBD7zzgC7NNnTnizPpyvr7I8XFkLD6SX9GhEiaMOpkPvaYsBG7igeWW3YX3jh+rBr1+znDdbko1dAITl4credYCcw3nxKKjfeD2A+rT3AJFI8Jt7D6A=',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 67108864,
      'disk size': 196616,
      cluster_size: 65536,
      compat: '1.1',
      'compression type': 'zlib',
      'lazy refcounts': 'false',
      'refcount bits': 16,
      corrupt: 'false',
      'extended l2': 'false',
    },
  },
  {
    title: 'qcow2, version 2',
    brotli: 'X58AA/44yRUe5iGKl3Ygg7Ec7WmUtA8bcOAeqQYBLoLDxpgOoTv6Ct4DPI0CABb9ABwYQEBstPcABanCe4AD/00I',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 10737418240,
      'disk size': 196768,
      cluster_size: 65536,
      compat: '0.10',
      'compression type': 'zlib',
      'refcount bits': 16,
    },
  },
  {
    title: 'qcow2 with zstd, lazy refcounts, 4 KiB clusters',
    brotli:
      'H2dCAB4HbkzHYvGdHBHe7tlMEIQoRKUKgtRkgJFlJe13M4dd9iPYgCuLB39kdQDwEhUAMOAMUC6wARMCAIAOCAAaPpV7ALBAssU6ALjw7VIAEA==',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 1234567168,
      'disk size': 17000,
      cluster_size: 4096,
      compat: '1.1',
      'compression type': 'zstd',
      'lazy refcounts': 'true',
      'refcount bits': 64,
      corrupt: 'false',
      'extended l2': 'false',
    },
  },
  {
    title: 'qcow2 with a backing file',
    brotli:
      'XwcAA+RIrdXccC8C4Jr3rQ/4vCiBKhpHUoXNeYITXeDb8lwijOi9qDrfyHdJBDsfKCYc4HRzGgSDwWoYDn35ee9n7d4fERDmyJBDDEAAIkAAAt5wMU4Av3fpi+S8Oj5b2Edzgg/rw+X2LpaHG0nBg+lHajREjaMPukXP0coBO7ig8aT3YesGEDUCv4DdxWWzJV3tCmBZHm5sfgeIO7gsngXqsrRFrTdzWg+gn/YeICQS2OTeAyg=',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 67108864,
      'disk size': 196616,
      cluster_size: 65536,
      'backing file': 'a.qcow2',
      'backing file format': 'qcow2',
      compat: '1.1',
      'compression type': 'zlib',
      'lazy refcounts': 'false',
      'refcount bits': 16,
      corrupt: 'false',
      'extended l2': 'false',
    },
  },
  {
    title: 'qcow2 with extended L2',
    brotli:
      'XwcABuQ4TLfTsjgF82ViPPzc6H03zBraUjQJgsVQRUSb6EBsF2o/2IBDz2QehnVw2pbnEmFE72V1XuRdEsHOJ8DD4QRpdjaCJqjCzQ3F77/wZZz+SACAHgYAArSABgQAADoAAGRcAEe6iB/bedevrK2ixQPpJTnaoMSqg+rQexoxYAMXNHd2m7n4oXr49WuWOzvJZg+AsJ6VvfsAvsb8FtR3vD5APNr7gEwk7OTeByg=',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 1073741824,
      'disk size': 393224,
      cluster_size: 131072,
      compat: '1.1',
      'compression type': 'zlib',
      'lazy refcounts': 'false',
      'refcount bits': 16,
      corrupt: 'false',
      'extended l2': 'true',
    },
  },
  {
    title: 'qcow2 marked corrupt',
    brotli:
      'XwcAA+RIjGMhL6rQSA8Rqdt92/hpOzUNQSAREnXb4KksZEsQBEsSFFbnQQy5CdryXCKM6L2szou8SyLY+QR4OJwgzc5G0ARVuLmh+P0Xvmv7aADAggEgoAEBAQBAAQBg8AHwxjvk55HzcigRLQ+kl+RoocSqg+rQe48YsIEL6HR26+Xih+rx69ek5yLZbAMIt5K9+wD4Gl+HqO94PQDi0d4DFJHYyb0HUA==',
    info: {
      'mime-type': 'application/x-qemu-disk',
      'file format': 'qcow2',
      'virtual size': 67108864,
      'disk size': 196616,
      cluster_size: 65536,
      compat: '1.1',
      'compression type': 'zlib',
      'lazy refcounts': 'false',
      'refcount bits': 16,
      corrupt: 'true',
      'extended l2': 'false',
    },
  },
  {
    title: 'vmdk, monolithic sparse',
    brotli:
      'H///AI7DOCYcVWf272RtB/E2mrr1VwFvBMDRTZEjDAD2tuMmrg0cZpoG6tswEP/duUn2SBIph0lisoSr8eY6BHjgJ4R/AAOAmQJGsEAU/j82QL8JAdSQOIGl9HlXvW9ks/As0FEBR4txhyDpKlPPF7Ajs9kGgzp2OU5fGrJcq6dK/JPjyZN4QUQMXaa9FEm9d7z5i/lyPZ/3n9SQkg8+sm+ZEh2eObpZ7CIVu8mNLhiNx0NEiiL01BDMb9PorOMPloPFyNLquw2zX5b8Sadk3PuDtor5ErG8wZm1QtXy4yhHUC0JF5UY9/9ogTxFe47Blu1oFAvlWrleqqY+tyAjnLUcAEhgzQCwghO8EIwIrKsAMUhBDkoA',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vmdk',
      'virtual size': 104857600,
      'disk size': 65536,
      cluster_size: 65536,
      'create type': 'monolithicSparse',
    },
  },
  {
    title: 'vmdk, stream optimized',
    brotli:
      'H///AI7DOCa8iGb2jyBvh/YZM4pNi5qYDM1raIfQhw4q7ZEBH50TeYMHfqXKRdmBPciieMwD9YGUkGx32qE5dkikHJskhgW7WT+h8Y+1wgA+IAEqQKYBJuADxMaAJII/6gT22ufry30hWwH2Ap3JIK0zX11Ia92YGYCReXa2hghYTthLQ3KyvnTs/LT7r5YcAPxZ2nuN1NM3ZQxZ05jBBilT7nFZCO/T8lAHRttVq/gcFV/jRgsWWZaAWC7nZmroqukoOvkMp3HFsFldnm2YfsLid9wkU98fSDK4YAg6lL3sRAUiQ1WnlGT3z2gBu+WKhHTtW9FTZM3ULNVI3WsckIFLlwMAPtwAgC76cIcBFgc=',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vmdk',
      'virtual size': 3145728,
      'disk size': 65536,
      cluster_size: 65536,
      'create type': 'streamOptimized',
    },
  },
  {
    title: 'vmdk descriptor of a flat disk',
    brotli:
      'H1UBAMSgdfUpaZEPfrI6HyDLnUhKKf5/cuulLWkFFLe16IFDz6KWueu19tEei3AWpcRqAb9Obl8fH8vmFmc+2rhuFZyfl60mq4YWeBYGQtkaSESXHC+Lj7wsyizuoti9ZXbHAO5K2QIqeP3P+iDHjxNsGkFQFnHIvZQRuWr7RD62Yne2o+MD+OVyAjzPCVZCfvz3Un1LmM6KH0K/zP2umUV3zuLC85uWd4pMZB8RnylridmZWnBWoc2fpKix5yc2soUxqYpu6QvN1BID',
    info: {
      'mime-type': 'text/plain',
      'file format': 'vmdk',
      'virtual size': 5242880,
      'disk size': 342,
      'create type': 'monolithicFlat',
    },
  },
  {
    title: 'vmdk descriptor of three extents',
    brotli:
      'H6MBIIzDuLEblUdxC5YU2lZfSScZeBPJiFiBEE3eAppNYcYD3N//gJV+H3YRJrrLUmx35ppjecSaDcph1GJya/Lz5eNhmJxjcsDic9rE+niqKEOl3+1o0IOUOkay0SJ1l8UqK8O9cpWr+5Os9wxrGcDhlUilx+tPOs1hp93okLcrSgiHvwppo9EUC19zGRHSwm01hv1mtwXaHXAfS9eylDP5yeQX8FeApiluT0gO/11ZM8U6rFZr6qGvZ0ktqrVndBEmKTw1G51Gi4Z0Ngt3vcgWJgXYa/OXL5zkg1PUtqYjHbGzIKNWs9PvDNq9TMgA',
    info: {
      'mime-type': 'text/plain',
      'file format': 'vmdk',
      'virtual size': 5368709120,
      'disk size': 420,
      'create type': 'twoGbMaxExtentSparse',
    },
  },
  {
    title: 'vdi',
    brotli:
      'H/8D6J8Hdiw9pGaNkQ8FD8/NfmNSLwqzRHpZLxobKA50UGJ5VuJ1d7ZEt1023ZoXm29JVrrBaQAQUkkqIy2EAeMkwwZc2+KbrcXvcPMwrt0mNjY5ku+EgDY5gr31KCAwCCDAJgLynCd5kQHAAiAGAK7VNsuZE45e6v6anrth/bGt7RIsgrb/tAA=',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vdi',
      'virtual size': 80740352,
      'disk size': 1024,
      cluster_size: 1048576,
    },
  },
  {
    title: 'vdi, static',
    brotli:
      'n/8DIOgvDmxbSPYlNzLCSW8pCGKbjyQ8RE8coXG0qbY6j2pttYmm3drqoCvHZverl76UfN3gNAAIqSSVkBaEQWGSYQOubfHN1hK37Fqq1LLbJWOTI/lOSGiFI9ixLgUEugKIMImAPOer2gCABYAIiMBxc/ucyufmQp/zbfTzPP/RV2vmdRyEpc3/EAA=',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vdi',
      'virtual size': 2097152,
      'disk size': 2098176,
      cluster_size: 1048576,
    },
  },
  {
    title: 'vhd, size by geometry',
    brotli:
      'H/8J4C8K7Ia1YzGOX5tGwIZQE83x8HGr1ylaGBdIYk2890m0IHLR+s9RQv2OECJilh6JnM3QkA3OAy7KRBHfokqKTwk8ZITylMxkmhz2p9J8T6QSgFT78tNsd1PIhlW7gbKv8ZVlH0AW8XtcKuv9RVo14OR56T5iLgNKEtCpifiXY87d3FB0Rx8=',
    info: {
      'mime-type': 'application/x-virtualbox-vhd',
      'file format': 'vpc',
      'virtual size': 104865792,
      'disk size': 2560,
      cluster_size: 2097152,
    },
  },
  {
    title: 'vhd, size by its field',
    brotli:
      'H/8J4C8K7CZ41pRjs9M4/bvFdUEPf+plWsCj0Q+UqQluC+2OKVRrrSTFsrwGgGin32Wsr/rqiLAo9jzgokwU8S2qpPiUwENGKE/JTKbxsJ9K8z2BjQUAYGM+wSc2g4dTT2YB+DH4yqQEjjQ3j8rq9/YdJP8XOD4v3YfmMgB8sAAwhCC9yDHnbq4U3dEH',
    info: {
      'mime-type': 'application/x-virtualbox-vhd',
      'file format': 'vpc',
      'virtual size': 104857600,
      'disk size': 2560,
      cluster_size: 2097152,
    },
  },
  {
    title: 'vhd, fixed',
    brotli:
      'n/9ZMPifh7GtIH8mWvTZfvDwnOsv0oYTW/PEErfr4CiRe6dyhBVtuSlLqxoqS6a8G7roMQ41AAhcwJFyn2CQy0G/Vk5bS0BEgD8aXqNab4aClLS8DgBOSseskC1A/P+vzMs1avzmvPB0tD//Cw==',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'raw',
      'virtual size': 3168768,
      'disk size': 3168768,
    },
  },
  {
    title: 'vhdx',
    brotli:
      'n///f6gGBBhH7cgmRSrZaJAfdAIB/7kD9n/bCR6chhhiW4YJB5zJ2wJJMDCMMLDYbUcP9hxHXJZGlcWpiaVTt/1wwosgNCnGEgNMOJr3ACaUtgSw9mtf+2/c7B5pBUj5mSlo/MEhZ98D4ZG9kinztTL9c673POomDEdq4iNP1kIRAOTF7R5ALf9/Y+8Bmg94+d7CTwT1h7n7gIYrOXqCAEByyQl9ne/YjyQqRA/9cxcHTQBAHgDRycqOXpdBj33/Q2JE5FqzwQgAdO813Lpgk28PEHTvHbSvjAE9AgDUQWQ4rGXKxAWL3w5eW7umHxcdX2SAAOKAMACgaz9jqHK52HVTIerIPduv+8QRQBwQBQCWFC8ceb6p4zTw4aTEQ846yyOAPMBctaN2dTkLEi4HXD6bzv9eitFEAGH6Z12nLkc55jkOn3/V6u93OlgXAu4BElCb1377B2mAmKHXN846ub7qVXr2elgk0RXBG/sHVfg+Ag==',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vhdx',
      'virtual size': 209715200,
      'disk size': 8388608,
      cluster_size: 8388608,
    },
  },
  {
    title: 'vhdx with 1 MiB blocks',
    brotli:
      'n///fwgGAhhH3pMVbhDYQM9Oi0sAIWwH6APc7sYDngaEQUKZh3Emj2GCAWKCgchuO/18OkZelGZleWZq5fr1INzwIwx1yrFAH2OO5j2AMan7gl36hbnLOhddswGu+j9pnN/3FNq4L7Lxr0+xc1Gqzu5BvtuP3m8yjquiqS+hCADy4nYPoJ4B4MbeA8R+rHXRxa8F9Ye5+4CWBwW6ggBAesUVPa3vOE+kKsSP/fMWB3UAQB4A0dnankGPUZ/j/xEJInKd+WAIALr3Gu7cKwDBju7lg/afMRCpSSUHEYD+Fhkzd8x/u/jtHZp8XHV9kQMCiAPCAIC284KB0v1yz12FuAtPbb4ei8/migIAa4p3Ljzf1XIb+XBV4hk33eURQJ6xKhedmgpWJDxOPT6bLP9eS1BHAGHaNz3n7se5FrmO337VGRx0PVwbBO4B4rn48kEeAOASgO/Y0uskaZ/QQQ23zgutKroIPg0oaLz6EQ==',
    info: {
      'mime-type': 'application/octet-stream',
      'file format': 'vhdx',
      'virtual size': 3221225472,
      'disk size': 8388608,
      cluster_size: 1048576,
    },
  },
  {
    title: 'iso that boots from a USB stick',
    brotli:
      'H/+H0I6ULgdyIQxvCSVawAWa+Y1f/v9OOWALMks81AQ4aafDBtzZNOMsw7tjPSeYsPB399vbPwdALmarOuAyGE9EnFzcBA==',
    info: {
      'mime-type': 'application/x-iso9660-image',
      'file format': 'raw',
      'virtual size': 34816,
      'disk size': 34816,
    },
  },
] as const

/** The images with their bytes: nearly all zeros, which is why they are kept compressed. */
export const imageVectors = vectors.map(({ title, brotli, info }) => ({
  title,
  info,
  bytes: () => new Uint8Array(brotliDecompressSync(Buffer.from(brotli, 'base64'))),
}))
