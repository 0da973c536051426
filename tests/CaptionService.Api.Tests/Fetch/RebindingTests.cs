using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using CaptionService.Api.Tests.TrainingJobs;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace CaptionService.Api.Tests.Fetch;

/// <summary>A resolver that says another address each time it is asked (DNS rebinding): what was checked is what is connected to.</summary>
[Collection(SharedFeatures.Programs)]
public sealed class RebindingTests(ShippedSmall shipped)
{
    private static readonly IPAddress s_allowed = IPAddress.Parse("127.0.0.2"), s_inside = IPAddress.Loopback;

    [Fact]
    public async Task A_name_that_changes_its_address_leads_nowhere_inside()
    {
        using var resolver = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            resolver.Bind(new IPEndPoint(IPAddress.Parse("127.0.0.77"), 53));
        }
        catch (SocketException denied)
        {
            Assert.Skip($"Port 53 of 127.0.0.77 cannot be had here: {denied.Message}.");
        }
        string folder = Directory.CreateTempSubdirectory("captionservice-resolver-").FullName, configuration = Path.Combine(folder, "resolv.conf");
        await File.WriteAllTextAsync(configuration, "nameserver 127.0.0.77\noptions timeout:1 attempts:1\n", Service.Cancellation);
        using var asked = new CancellationTokenSource();
        int answers = 0;
        Task resolving = Resolve(resolver, () => Interlocked.Increment(ref answers), asked.Token);

        byte[] cat = Photos.Sample("cat");
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls($"http://{s_allowed}:0");
        await using WebApplication photos = builder.Build();
        int served = 0;
        photos.MapGet("/cat.jpg", (HttpContext http) =>
        {
            Interlocked.Increment(ref served);
            http.Response.Headers.Connection = "close";         // the next photo needs a connection, and so an address, of its own
            return Results.Bytes(cat, "image/jpeg");
        });
        await photos.StartAsync(Service.Cancellation);
        int port = new Uri(photos.Urls.Single()).Port;
        using var inside = new TcpListener(s_inside, port);     // the same port where nobody may call
        inside.Start();

        var program = ServiceProcess.WithResolver(configuration, (ShippedSmall.Setting.Replace(":", "__", StringComparison.Ordinal), shipped.Folder),
            ("Fetch__Enabled", "true"), ("Fetch__AllowedNetworks__0", $"{s_allowed}/32"), ("Fetch__Timeout", "00:00:03"));
        await using (program)
        {
            using HttpClient client = await program.Ready();
            var statuses = new List<int>();
            for (int i = 0; i < 24; i++)
            {
                Answer answer = await Answer.Get(client, "/img-alt?image=" + Uri.EscapeDataString($"http://{(i % 2 == 0 ? "turns" : "both")}.test:{port}/cat.jpg"));
                statuses.Add(answer.Status);
            }
            Assert.False(inside.Pending());
            Assert.Equal([400], statuses.Where((_, i) => i % 2 == 1).Distinct());
            Assert.Equal([200, 400], statuses.Where((_, i) => i % 2 == 0).Distinct().Order());      // as the resolver's turn was
            Assert.Equal(statuses.Count(status => status == 200), served);
            Assert.True(answers >= 12, $"{answers} addresses were asked for.");
        }
        await asked.CancelAsync();
        await resolving.ContinueWith(_ => { }, TaskScheduler.Default);
        Directory.Delete(folder, recursive: true);
    }

    // RFC 1035: the question is given back with its answers, which may be kept for no time at all.
    private static async Task Resolve(Socket resolver, Func<int> count, CancellationToken ended)
    {
        byte[] message = new byte[512];
        while (true)
        {
            SocketReceiveFromResult from = await resolver.ReceiveFromAsync(message, new IPEndPoint(IPAddress.Any, 0), ended);
            int name = 12;
            while (message[name] != 0)
            {
                name += message[name] + 1;
            }
            int end = name + 5;                                 // the name's end, its type and class
            bool both = message[13] == (byte)'b', address = BinaryPrimitives.ReadUInt16BigEndian(message.AsSpan(name + 1)) == 1;
            IPAddress[] addresses = !address ? [] : both ? [s_allowed, s_inside] : [count() % 2 == 1 ? s_allowed : s_inside];
            byte[] reply = [.. message[..end], .. addresses.SelectMany(found => (byte[])[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, .. found.GetAddressBytes()])];
            BinaryPrimitives.WriteUInt16BigEndian(reply.AsSpan(2), 0x8180);
            BinaryPrimitives.WriteUInt16BigEndian(reply.AsSpan(6), (ushort)addresses.Length);
            reply.AsSpan(8, 4).Clear();
            await resolver.SendToAsync(reply, from.RemoteEndPoint, ended);
        }
    }
}
